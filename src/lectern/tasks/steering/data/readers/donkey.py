"""A Donkey Car tub, version 2, to the common form: `manifest.json`, its catalogs and `images/`."""

import json
from pathlib import Path

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import Files
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import Frames, Unit

UNIT = Unit("share of the full lock", lock=1.0, right=1, degrees=150.0)
FIELDS = {"_index": "row", "_timestamp_ms": "time", "cam/image_array": "image", "user/angle": "angle",
          "user/throttle": "throttle"}  # fmt: skip


def read(raw: Path, faults: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Angle and throttle are shares of the driver's stick. What the manifest marks as deleted is left out."""
    files = Files(raw)
    manifest = read_manifest(files)
    lines = [line for name in manifest["paths"] for line in read_catalog(files, name)]
    table = pd.DataFrame(lines).reindex(columns=list(FIELDS.values()) + ["place"])
    table = table[~table["row"].isin(manifest["deleted_indexes"]) & (table["row"] < manifest["current_index"])]
    table = table.sort_values("row", kind="stable", ignore_index=True)
    for name in ("time", "angle", "throttle"):
        table[name] = pd.to_numeric(table[name], "coerce")
    table["time"] /= 1000
    table["drive"] = raw.name
    table["image"] = "images/" + table["image"].astype(str)
    return drop_missing(table, files, faults), UNIT


def open_frames(raw: Path) -> Frames:
    files = Files(raw)
    return lambda rows: decode_files(files, rows["image"])


def read_manifest(files: Files) -> dict:
    """The last of the manifest's five lines: paths, current_index, max_len, deleted_indexes."""
    place = f"{files.top}, manifest.json"
    if "manifest.json" not in files:
        raise UserError(f"{files.top} holds no manifest.json, which a Donkey Car tub has.")
    try:
        manifest = json.loads(files.read("manifest.json").decode().strip().splitlines()[-1])
        return {name: manifest[name] for name in ("paths", "current_index", "deleted_indexes")}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(f"{place}: its last line is not that of a tub of version 2 ({error!r}).") from error


def read_catalog(files: Files, name: str) -> list[dict]:
    """The rows of a catalog, a JSON object a line, under the common names."""
    if name not in files:
        raise UserError(f"{files.top}, manifest.json names {name}, which is not there.")
    rows = []
    for number, line in enumerate(files.read(name).decode().splitlines()):
        place = f"{files.top}, {name}, row {number}"
        try:
            found = json.loads(line)
            rows.append({ours: found[theirs] for theirs, ours in FIELDS.items()} | {"place": place})
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{place}: this is no row of a tub of version 2 ({error!r}).") from error
    return rows
