"""Add a button that uploads a file, and store the uploaded file while a request reads it."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakMethod

from nicegui import events, ui

from lectern.serving.settings import Settings

MAX_NAME_CHARACTERS = 60


def add_upload_button(
    text: str,
    suffixes: Iterable[str],
    settings: Settings,
    on_upload: Callable[[events.UploadEventArguments], Awaitable[None]],
) -> ui.button:
    """Add a button that opens a file dialog. The upload starts when the visitor has chosen a file.

    `on_upload` must be a method of an object that belongs to the page.
    """
    # FastAPI keeps the functions of the last 4,096 routes in memory, and NiceGUI adds a route for each upload element.
    # A weak reference lets the page of a visitor be deleted in spite of the route.
    weak_method = WeakMethod(on_upload)

    async def receive_upload(event: events.UploadEventArguments) -> None:
        method = weak_method()
        if method is not None:
            await method(event)

    megabytes = settings.max_upload_megabytes
    too_large = f"The file is too large or has another type; at most {megabytes:g} MB of {', '.join(suffixes)}."
    upload = ui.upload(
        auto_upload=True,
        max_file_size=int(megabytes * 1e6),
        on_upload=receive_upload,
        on_rejected=lambda: ui.notify(too_large, type="warning", position="top", timeout=8000),
    )
    upload.props(f'accept="{",".join(suffixes)}"').classes("hidden")
    # the element keeps a list of its files and does not upload the same file again until the list is empty
    upload.on("uploaded", lambda: upload.reset())
    open_dialog = f"() => getElement({upload.id}).pickFiles()"
    return ui.button(text, icon="upload").props("flat").on("click", js_handler=open_dialog)


@asynccontextmanager
async def saved_upload(event: events.UploadEventArguments) -> AsyncIterator[Path]:
    """Save an uploaded file for a block under its own name, because error messages contain the name of the file."""
    name = Path(event.file.name)
    with tempfile.TemporaryDirectory() as folder:
        stem = name.stem.strip(".")[:MAX_NAME_CHARACTERS] or "file"
        path = Path(folder) / f"{stem}{name.suffix[:MAX_NAME_CHARACTERS]}"
        await event.file.save(path)
        yield path
