"""Build the page tab that plays a recorded drive with the driver's and the predicted steering angle."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from nicegui import app, events, ui

from lectern.serving.page_tab import Tab, version_note
from lectern.tasks.steering.serving.playback import Playback, list_test_drives, play_test_drive, play_video
from lectern.tasks.steering.serving.player import Player
from lectern.tasks.steering.serving.request import VIDEOS

TITLE, ICON, ORDER = "Steering", "directions_car", 4
DESCRIPTION = (
    "Play a test drive or upload a video. The network predicts the angle of the steering wheel at each frame."
    " The network has not been trained on the test drives."
)


@cache
def video_directory() -> Path:
    """Return the temporary directory with the files that the server offers under the path /videos."""
    directory = Path(tempfile.mkdtemp(prefix="lectern-videos-"))
    app.add_media_files("/videos", directory)
    return directory


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    video_directory()
    with ui.column().classes("card"):
        with ui.row().classes("actions"):
            model = tab.model_select()
            drive = ui.select([], label="Drive").props("outlined dense").style("min-width: 150px")
            play_button = ui.button("Play", on_click=lambda: play_selected())
            upload_button = ui.button("Upload a video", icon="upload").props("flat no-caps")
        upload = add_upload(tab, lambda event: play_upload(event))
        upload_button.on("click", js_handler=f"() => getElement({upload.id}).pickFiles()")
    with ui.column().classes("card") as result:
        ui.label("No drive has been played yet.").classes("note")

    def update_drives() -> None:
        titles = list(list_test_drives(model.value))
        drive.set_options(titles, value=titles[0] if titles else None)
        drive.set_visibility(bool(titles))
        play_button.set_visibility(bool(titles))

    model.on_value_change(update_drives)
    update_drives()

    async def play_selected() -> None:
        rows = list_test_drives(model.value)[drive.value]
        await play(play_test_drive, rows, video_directory(), tab.settings.max_frames)

    async def play_upload(event: events.UploadEventArguments) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"video{Path(event.file.name).suffix}"
            await event.file.save(path)
            await play(play_video, path, video_directory(), tab.settings.max_megapixels, tab.settings.max_frames)

    async def play(create: Callable[..., Playback], *arguments: Any) -> None:
        with tab.show_progress(play_button, upload_button):
            champion = tab.champion(model.value)
            playback = await tab.run_inference(champion, create, *arguments)
            result.clear()
            with result:
                Player(f"/videos/{playback.video.name}", playback)
                ui.label(version_note(champion)).classes("note")


def add_upload(tab: Tab, on_upload: Callable[[events.UploadEventArguments], Any]) -> ui.upload:
    """Add a hidden upload element for videos. A visible button opens the file dialog of the upload element."""
    megabytes = tab.settings.max_upload_megabytes
    upload = ui.upload(
        auto_upload=True,
        max_file_size=int(megabytes * 1e6),
        on_upload=on_upload,
        on_rejected=lambda: ui.notify(f"The file is too large; at most {megabytes:g} MB are allowed.", type="warning"),
    )
    return upload.props(f'accept="{",".join(VIDEOS)}"').classes("hidden")
