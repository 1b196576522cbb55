"""Read a Donkey Car tub of version 2, with `manifest.json`, its catalogs and `images/`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.files import RecordingFiles
from lectern.tasks.steering.data.readers.images import decode_files, drop_missing
from lectern.tasks.steering.data.readers.recording import FrameDecoder, Unit

UNIT = Unit("share of the full lock", lock=1.0, right=1, degrees=150.0)
COLUMNS = {"_index": "row", "_timestamp_ms": "time", "cam/image_array": "image", "user/angle": "angle",
           "user/throttle": "throttle"}  # fmt: skip


def read_table(raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Read the rows in all catalogs of a tub, without the rows that the manifest marks as deleted.

    Angle and throttle are fractions of the full range of the driver's joystick.
    """
    files = RecordingFiles(raw)
    manifest = read_manifest(files)
    table = pd.DataFrame(read_rows(files, manifest)).reindex(columns=list(COLUMNS.values()) + ["place"])
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
        raise UserError(
            f"{files.top} contains no manifest.json, so it is not a Donkey Car tub of version 2.{version_1(files)}"
        )
    try:
        manifest = json.loads(split_lines(files.read("manifest.json").decode().strip())[-1])
        return {name: manifest[name] for name in ("paths", "current_index", "deleted_indexes")}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(
            f"{files.top}, manifest.json: the last line does not describe a tub of version 2 ({error!r})."
        ) from error


def version_1(files: RecordingFiles) -> str:
    """Return advice on how to convert a tub of version 1. For any other format, return an empty text."""
    if not any(re.fullmatch(r"(.*/)?record_\d+\.json", name) for name in files.names):
        return ""
    return (
        " The files record_*.json belong to a tub of version 1. Convert the tub with donkeycar's script "
        "convert_to_tub_v2.py --tub OLD --output NEW, and set preprocess.frame_rate, because the conversion does not "
        "keep the times of the frames."
    )


def read_rows(files: RecordingFiles, manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all rows that are not marked as deleted, with the common column names.

    The program donkeycar fills gaps with rows that are marked as deleted and contain only the key `__empty__`.
    """
    deleted, position = set(manifest["deleted_indexes"]), 0
    for name in manifest["paths"]:
        for place, record in read_catalog(files, name):
            index = record.get("_index", position)
            position += 1
            if index not in deleted and index < manifest["current_index"]:
                yield select_columns(record, place)


def read_catalog(files: RecordingFiles, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the content of each row of a catalog. Each line of a catalog is a JSON object."""
    if name not in files:
        raise UserError(f"{files.top}: manifest.json lists {name}, but the file is missing.")
    for number, line in enumerate(split_lines(files.read(name).decode())):
        place = f"{files.top}, {name}, row {number}"
        try:
            yield place, dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise UserError(f"{place}: not a row of a tub of version 2 ({error!r}).") from error


def select_columns(record: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the values of a row under the common column names. Raises UserError if a key is missing."""
    missing = [key for key in COLUMNS if key not in record]
    if missing:
        found = ", ".join(record) or "none"
        raise UserError(f"{place}: the row of a tub of version 2 lacks the keys {', '.join(missing)}; it has: {found}.")
    return {column: record[key] for key, column in COLUMNS.items()} | {"place": place}
