"""A recording's table to its rows that can be used: finite numbers, angles within the lock, time that runs forward."""

import pandas as pd

from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import Recording


def usable(recording: Recording, faults: BadRows) -> pd.DataFrame:
    """The good rows; the others are told to `faults`, which counts or stops."""
    table = recording.table
    for name in ("time", *recording.targets):
        table = drop(table, table[name].isna(), f"{name} is no number", name, faults)
    lock = recording.unit.lock
    outside = f"the angle is outside the lock of {lock:g} ({recording.unit.name})"
    table = drop(table, table["angle"].abs() > lock * (1 + 1e-6), outside, "angle", faults)
    latest = table.groupby("drive", sort=False)["time"].cummax()
    return drop(table, table["time"] < latest, "the time runs backwards", "time", faults)


def drop(table: pd.DataFrame, bad: pd.Series, kind: str, column: str, faults: BadRows) -> pd.DataFrame:
    for row in table[bad].to_dict("records"):
        faults.found(kind, row["place"], f"found {row[column]}")
    return table[~bad]
