"""A drive to its film with the driver's wheel and the network's, and the error over time."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from nicegui import app, ui

from lectern.serving.page_tab import Tab, answered_by
from lectern.tasks.steering.serving.drives import Drive, recorded, replay, watch
from lectern.tasks.steering.serving.player import Player
from lectern.tasks.steering.serving.request import VIDEOS

TITLE, ICON, ORDER = "Steering", "directions_car", 4
ASKS = "The network watches a drive that it was not taught on, and says how it would turn the wheel at each frame."


@cache
def films() -> Path:
    """Where films lie while the server runs, and from where the browser gets them."""
    folder = Path(tempfile.mkdtemp(prefix="lectern-films-"))
    app.add_media_files("/films", folder)
    return folder


def build(tab: Tab) -> None:
    """The tab of one visitor."""
    films()
    with ui.column().classes("card"):
        with ui.row().classes("actions"):
            model = tab.choose()
            drive = ui.select([], label="Drive").props("outlined dense").style("min-width: 150px")
            button = ui.button("Drive", on_click=lambda: go())
            own = ui.button("A video of your own", icon="upload").props("flat no-caps")
        upload = (
            ui.upload(
                auto_upload=True,
                max_file_size=int(tab.settings.upload_megabytes * 1e6),
                on_upload=lambda event: see(event),
                on_rejected=lambda: ui.notify(f"At most {tab.settings.upload_megabytes:g} MB.", type="warning"),
            )
            .props(f'accept="{",".join(VIDEOS)}"')
            .classes("hidden")
        )
        own.on("click", js_handler=f"() => getElement({upload.id}).pickFiles()")
    with ui.column().classes("card") as stage:
        ui.label("Nothing is driven yet.").classes("note")

    def offer() -> None:
        names = list(recorded(model.value))
        drive.set_options(names, value=names[0] if names else None)
        drive.set_visibility(bool(names))
        button.set_visibility(bool(names))

    model.on_value_change(offer)
    offer()

    async def go() -> None:
        await play(replay, recorded(model.value).get(drive.value), films(), tab.settings.frames)

    async def see(event) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"video{Path(event.file.name).suffix}"
            await event.file.save(path)
            await play(watch, path, films(), tab.settings.megapixels, tab.settings.frames)

    async def play(make: Callable[..., Drive], *arguments) -> None:
        with tab.working(button, own):
            champion = tab.champion(model.value)
            made = await tab.work(champion, make, *arguments)
            stage.clear()
            with stage:
                Player(f"/films/{made.film.name}", made)
                ui.label(answered_by(champion)).classes("note")
