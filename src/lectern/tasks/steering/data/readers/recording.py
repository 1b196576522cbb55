"""Define the class Recording, which the readers of all formats return."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lectern.tasks.steering.data.format.targets import OPTIONAL_TARGETS

DecodedFrame = np.ndarray | str  # uint8 (height, width, 3) in RGB, or an error message if the frame cannot be decoded
FrameDecoder = Callable[[pd.DataFrame], Iterator[DecodedFrame]]


@dataclass(frozen=True)
class Unit:
    """The unit, the range and the direction of the numbers in the column `angle`."""

    name: str
    lock: float  # the largest possible angle
    right: int  # 1 if a positive angle turns to the right, -1 if a positive angle turns to the left
    degrees: float  # rotation of the drawn steering wheel in degrees per unit of the angle; can be an estimate


@dataclass(frozen=True)
class Recording:
    """A recording of one or more drives.

    `table` has one row per frame and these columns:

    - `drive` is the name of the drive.
    - `row` is the index of the frame, counted over all drives.
    - `time` is the time in seconds.
    - `angle` is the recorded angle, in the unit of `unit`.
    - The columns of OPTIONAL_TARGETS exist if the recording contains the targets.
    - `place` contains the file and the row for error messages.
    - The reader uses all remaining columns to find the frame of a row.

    `decode` yields the frames of the given rows in order.
    """

    table: pd.DataFrame
    unit: Unit
    decode: FrameDecoder

    @property
    def targets(self) -> list[str]:
        """Return the names of all targets in the recording, the angle first."""
        return ["angle", *(name for name in OPTIONAL_TARGETS if name in self.table)]
