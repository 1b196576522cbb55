"""Define the common form of a recording, which every reader returns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lectern.tasks.steering.data.format.targets import OPTIONAL_TARGETS

DecodedFrame = np.ndarray | str  # uint8 (height, width, 3) in RGB, or a message if the frame cannot be decoded
FrameDecoder = Callable[[pd.DataFrame], Iterator[DecodedFrame]]


@dataclass(frozen=True)
class Unit:
    """The meaning of a number in the column `angle`."""

    name: str
    lock: float  # the largest possible angle
    right: int  # 1 if a positive angle turns to the right, -1 if a positive angle turns to the left
    degrees: float  # rotation of the drawn steering wheel in degrees per unit; an estimate if the real ratio is unknown


@dataclass(frozen=True)
class Recording:
    """A recording of one or more drives.

    `table` has one row per frame and these columns:

    - `drive` is the name of the drive.
    - `row` is the number of the row, counted from 0 over all drives.
    - `time` is the time in seconds.
    - `angle` is the recorded angle, in the unit of `unit`.
    - The recorded OPTIONAL_TARGETS are also columns.
    - `place` contains the file and the row for messages.
    - Other columns contain what the reader needs to find a frame.

    `decode` yields the frames of the given rows in order.
    """

    table: pd.DataFrame
    unit: Unit
    decode: FrameDecoder

    @property
    def targets(self) -> list[str]:
        """Return the names of the recorded targets, the angle first."""
        return ["angle", *(name for name in OPTIONAL_TARGETS if name in self.table)]
