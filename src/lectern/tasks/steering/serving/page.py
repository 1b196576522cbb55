"""Build the page tab that plays a recorded drive with the driver's and the predicted steering angle."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from nicegui import app, events, ui

from lectern.atomic import create_process_directory
from lectern.serving.champions import Champion
from lectern.serving.model_choice import ModelChoice
from lectern.serving.page_answers import Answers
from lectern.serving.page_tab import Tab
from lectern.serving.page_upload import add_upload_button, saved_upload
from lectern.tasks.steering.serving.drive_panel import DrivePanel
from lectern.tasks.steering.serving.playback import (
    Drive,
    list_test_drives,
    predict_playback,
    read_test_drive,
    read_uploaded_drive,
)
from lectern.tasks.steering.serving.request import VIDEOS
from lectern.tasks.steering.serving.video_progress import VideoProgress

TITLE, ICON, ORDER = "Steering", "directions_car", 4
DESCRIPTION = (
    "Play a test drive or upload a video. The network predicts the angle of the steering wheel at each frame."
    " The network has not been trained on the test drives."
)
BASELINE = "always predict the mean angle of the training data"
TRAINING_ITEMS = "items: frames"
EMPTY_NOTE = "No drive has been played yet."


@cache
def video_directory() -> Path:
    """Return the temporary directory with the files that the server offers under the path /videos."""
    directory = create_process_directory("lectern-videos-")
    app.add_media_files("/videos", directory)
    return directory


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    video_directory()
    with ui.column().classes("card"):
        choice = tab.add_model_choice()
        form = DriveForm(tab, choice)
    form.answers = Answers(choice, DrivePanel, EMPTY_NOTE)


class DriveForm:
    """A menu of the test drives, and the buttons that play a test drive or upload a video."""

    answers: Answers[DrivePanel]

    def __init__(self, tab: Tab, choice: ModelChoice):
        self.tab, self.choice = tab, choice
        with ui.row().classes("actions"):
            self.drive = ui.select([], label="Drive").props("outlined dense").style("min-width: 150px")
            self.play_button = ui.button("Play", icon="play_arrow", on_click=self.play_selected)
            self.upload_button = add_upload_button("Upload a video", VIDEOS, tab.settings, self.play_upload)
        self.update_drives()
        choice.on_change(self.update_drives)

    def update_drives(self) -> None:
        """Show the test drives of the chosen model."""
        titles = list(list_test_drives(self.choice.name))
        self.drive.set_options(titles, value=titles[0] if titles else None)
        self.drive.set_visibility(bool(titles))
        self.play_button.set_visibility(bool(titles))

    async def play_selected(self) -> None:
        rows = list_test_drives(self.choice.name)[str(self.drive.value)]
        await self.play(read_test_drive, rows, video_directory(), self.tab.settings.max_frames)

    async def play_upload(self, event: events.UploadEventArguments) -> None:
        settings = self.tab.settings
        async with saved_upload(event) as path:
            await self.play(read_uploaded_drive, path, video_directory(), settings.max_megapixels, settings.max_frames)

    async def play(self, read: Callable[..., Drive], *arguments: Any) -> None:
        """Play the drive that `read` reads with the chosen model. The challenger usually uses the same frames."""
        drive: Drive | None = None

        async def respond(version: Champion, panel: DrivePanel) -> str:
            nonlocal drive
            progress = VideoProgress()
            with panel.show_progress(progress):
                if drive is None or not drive.fits(version):
                    drive = await self.tab.run_with_file(version, read, *arguments, progress)
                playback = await self.tab.run_inference(version, predict_playback, drive)
            panel.show(playback)
            return ""

        await self.answers.request(respond, self.play_button, self.upload_button)
