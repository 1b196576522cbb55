"""Check the times of a recording, and drop the rows that cannot be used."""

from dataclasses import replace

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import Recording

MIN_STEP_SECONDS = 0.01  # Cameras of cars record at most 100 frames per second.


def set_times(recording: Recording, frame_rate: int | float | None) -> Recording:
    """Compute the times from the frame rate, if it is given. Raises UserError if the recorded times are impossible."""
    if frame_rate is not None:
        return replace(recording, table=recording.table.assign(time=recording.table["row"] / frame_rate))
    step = recording.table.groupby("drive", sort=False)["time"].diff().median()
    if step < MIN_STEP_SECONDS:
        raise UserError(
            f"The frames of the recording are {1000 * step:.3g} ms apart, but a camera needs at least "
            f"{1000 * MIN_STEP_SECONDS:g} ms. The recorded times are probably those of a conversion. "
            "Set preprocess.frame_rate to the frames per second of the camera, for example 20."
        )
    return recording


def drop_bad_rows(recording: Recording, bad_rows: BadRows) -> pd.DataFrame:
    """Return the usable rows of a recording, and report all unusable rows to `bad_rows`.

    In a usable row, all values are finite numbers, the angle is within the full lock, and the time is not before the
    time of an earlier row.
    """
    table = recording.table
    for name in ("time", *recording.targets):
        table = drop_rows(table, table[name].isna(), f"{name} is not a number", name, bad_rows)
    lock = recording.unit.lock
    reason = f"the angle exceeds the lock of {lock:g} ({recording.unit.name})"
    table = drop_rows(table, table["angle"].abs() > lock * (1 + 1e-6), reason, "angle", bad_rows)
    latest = table.groupby("drive", sort=False)["time"].cummax()
    return drop_rows(table, table["time"] < latest, "the time runs backwards", "time", bad_rows)


def drop_rows(table: pd.DataFrame, bad: pd.Series, reason: str, column: str, bad_rows: BadRows) -> pd.DataFrame:
    for row in table[bad].to_dict("records"):
        bad_rows.report(reason, row["place"], f"found {row[column]}")
    return table[~bad]
