"""Add a button that uploads a file, and store the uploaded file while a request reads it."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from nicegui import events, ui

from lectern.serving.settings import Settings

MAX_NAME_CHARACTERS = 60


def add_upload_button(
    text: str,
    suffixes: Iterable[str],
    settings: Settings,
    on_upload: Callable[[events.UploadEventArguments], Awaitable[None]],
) -> ui.button:
    """Add a button that opens a file dialog. The upload starts when the visitor has chosen a file."""
    megabytes = settings.max_upload_megabytes
    too_large = f"The file is too large or has another type; at most {megabytes:g} MB of {', '.join(suffixes)}."
    upload = ui.upload(
        auto_upload=True,
        max_file_size=int(megabytes * 1e6),
        on_upload=on_upload,
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
