"""Read a Donkey Car tub of version 2, with `manifest.json`, its catalogs and `images/`."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import RecordingFiles
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import FrameDecoder, Unit

UNIT = Unit("the unit is a share of the full lock", lock=1.0, right=1, degrees=150.0)
COLUMNS = {"_index": "row", "_timestamp_ms": "time", "cam/image_array": "image", "user/angle": "angle",
           "user/throttle": "throttle"}  # fmt: skip


def read_table(raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Read the rows in all catalogs of a tub, without the rows that the manifest marks as deleted.

    Angle and throttle are fractions of the full range of the driver's joystick.
    """
    files = RecordingFiles(raw)
    manifest = read_manifest(files)
    lines = [line for name in manifest["paths"] for line in read_catalog(files, name)]
    table = pd.DataFrame(lines).reindex(columns=list(COLUMNS.values()) + ["place"])
    table = table[~table["row"].isin(manifest["deleted_indexes"]) & (table["row"] < manifest["current_index"])]
    table = table.sort_values("row", kind="stable", ignore_index=True)
    for name in ("time", "angle", "throttle"):
        table[name] = pd.to_numeric(table[name], "coerce")
    table["time"] /= 1000
    table["drive"] = raw.name
    table["image"] = "images/" + table["image"].astype(str)
    return drop_missing(table, files, bad_rows), UNIT


def open_frames(raw: Path) -> FrameDecoder:
    files = RecordingFiles(raw)
    return lambda rows: decode_files(files, rows["image"])


def read_manifest(files: RecordingFiles) -> dict[str, Any]:
    """Read `paths`, `current_index` and `deleted_indexes` from the last line of `manifest.json`."""
    if "manifest.json" not in files:
        raise UserError(f"{files.top} contains no manifest.json, so it is not a Donkey Car tub of version 2.")
    try:
        manifest = json.loads(files.read("manifest.json").decode().strip().splitlines()[-1])
        return {name: manifest[name] for name in ("paths", "current_index", "deleted_indexes")}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(
            f"{files.top}, manifest.json: the last line does not describe a tub of version 2 ({error!r})."
        ) from error


def read_catalog(files: RecordingFiles, name: str) -> list[dict[str, Any]]:
    """Return the rows of a catalog file, which has one JSON object per line, with the column names of a Recording."""
    if name not in files:
        raise UserError(f"{files.top}: manifest.json lists {name}, but the file is missing.")
    rows = []
    for number, line in enumerate(files.read(name).decode().splitlines()):
        place = f"{files.top}, {name}, row {number}"
        try:
            record = json.loads(line)
            rows.append({column: record[key] for key, column in COLUMNS.items()} | {"place": place})
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{place}: not a row of a tub of version 2 ({error!r}).") from error
    return rows
