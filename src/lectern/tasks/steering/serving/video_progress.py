"""Count the frames of a video that have been processed, for the progress bar of the web page."""

from collections.abc import Iterable, Iterator

import numpy as np


class VideoProgress:
    """The number of processed frames and the number of all frames. The number of all frames is 0 before the start."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.has_started = False  # false while the video waits for other videos

    def count(self, frames: Iterable[np.ndarray], total: int) -> Iterator[np.ndarray]:
        """Yield the frames unchanged, and count them."""
        self.done, self.total = 0, total
        for frame in frames:
            yield frame
            self.done += 1

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    def __str__(self) -> str:
        """Return a text for the visitor. The network predicts after all frames have been read."""
        if not self.has_started:
            return "Waiting until other videos have been processed …"
        if not self.total:
            return "Reading the video …"
        if self.done < self.total:
            return f"{self.done:,} of {self.total:,} frames"
        return f"{self.done:,} of {self.total:,} frames read. The network predicts the angles …"
