"""Show the progress while a video is processed, and then the player of the video."""

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from lectern.tasks.steering.serving.playback import Playback
from lectern.tasks.steering.serving.player import Player
from lectern.tasks.steering.serving.video_progress import VideoProgress

UPDATE_SECONDS = 0.2


class DrivePanel:
    """A panel with a progress bar and a player."""

    def __init__(self) -> None:
        self.player = ui.element("div").classes("w-full")
        with ui.column().classes("w-full") as self.progress:
            self.bar = ui.linear_progress(0, show_value=False).props('aria-label="Processed frames"')
            self.count = ui.label().classes("note").props("role=status")
        self.progress.set_visibility(False)

    @contextmanager
    def show_progress(self, progress: VideoProgress) -> Iterator[None]:
        """Remove the last video, and show the number of processed frames during the block."""
        self.clear()

        def update() -> None:
            self.bar.set_value(progress.share)
            self.count.set_text(str(progress))

        update()
        self.progress.set_visibility(True)
        with self.progress:
            timer = ui.timer(UPDATE_SECONDS, update)
        try:
            yield
        finally:
            timer.delete()
            self.progress.set_visibility(False)

    def show(self, playback: Playback) -> None:
        with self.player:
            Player(f"/videos/{playback.video.name}", playback)

    def clear(self) -> None:
        self.player.clear()
