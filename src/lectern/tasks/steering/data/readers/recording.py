"""What every reader gives: a table with a row a frame, in one common form, and the frames as they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

Frames = Callable[[pd.DataFrame], Iterator[np.ndarray | str]]
RECORDED = ("speed", "throttle", "brake", "torque")  # what a car may tell beside the angle, each in its own unit


@dataclass(frozen=True)
class Unit:
    """What a number in the column `angle` means."""

    name: str
    lock: float  # the largest angle that can be
    right: int  # 1 where a positive angle turns to the right, -1 where to the left
    degrees: float  # how far the steering wheel turns a unit; what looks right where nobody knows


@dataclass(frozen=True)
class Recording:
    """One or more drives.

    `table` has the columns `drive` (its name), `row` (counted from 0 over the whole recording), `time` (seconds),
    `angle` (see `unit`), those of RECORDED that there are, `place` (file and row, for messages) and what the reader
    itself needs to find a frame. `frames` takes some of its rows, in order, and gives each one's frame, uint8
    (height, width, 3) in RGB, or what is wrong with it, in words.
    """

    table: pd.DataFrame
    unit: Unit
    frames: Frames

    @property
    def targets(self) -> list[str]:
        """What was recorded beside the frames, the angle first."""
        return ["angle", *(name for name in RECORDED if name in self.table)]
