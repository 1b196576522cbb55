"""Pack the drives of a recording in parallel, with one process per drive.

With `LAUNCH="lectern submit"`, the processes are the elements of one Slurm job array.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.digests import content_digest, file_digest
from lectern.artifacts.paths import DRIVES
from lectern.atomic import atomic_directory, write_json
from lectern.cluster.array_jobs import launch_prefix, run_parts
from lectern.tasks.steering.data.format.frames import Crop
from lectern.tasks.steering.data.packing import Writers, open_writers, pack_frames
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.formats import open_frames
from lectern.tasks.steering.data.readers.recording import Recording
from lectern.tasks.steering.data.splits import SPLITS


def is_enabled(table: pd.DataFrame) -> bool:
    """Return whether LAUNCH is set and the recording has several drives."""
    return bool(launch_prefix()) and table["drive"].nunique() > 1


def pack_drives(
    raw: Path,
    reader: str,
    recording: Recording,
    table: pd.DataFrame,
    writers: Writers,
    crop: Crop,
    bad_rows: BadRows,
) -> pd.DataFrame:
    """Pack the frames of a recording as `packing.pack_frames` does, but with one process per drive.

    After an interruption, the next call packs only the drives that are not packed yet.
    """
    folder = write_plan(raw, reader, recording, table, crop, bad_rows)
    drives = table["drive"].nunique()
    run_parts("steering", folder, drives)
    kept = [append_drive(folder / str(number), writers, bad_rows) for number in range(drives)]
    shutil.rmtree(folder)
    return table.loc[np.concatenate(kept)]


def write_plan(
    raw: Path, reader: str, recording: Recording, table: pd.DataFrame, crop: Crop, bad_rows: BadRows
) -> Path:
    """Write the options and the table of rows for the processes to a folder, and return the path of the folder.

    The name of the folder contains a digest of the options, the raw files and the code. Drives that were packed with
    different options, raw files or code are therefore not reused.
    """
    size = next((frame.shape for frame in recording.decode(table) if not isinstance(frame, str)), None)
    plan = {"raw": str(raw), "reader": reader, "crop": vars(crop), "bad_rows": bad_rows.policy, "size": size}
    files = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sorted(raw.rglob("*"))]
    code = [file_digest(path) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    row_hashes = pd.util.hash_pandas_object(table).to_numpy()
    folder = DRIVES / f"{raw.name}-{content_digest([json.dumps(plan), *files, *code], row_hashes)[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "table.parquet")
    write_json(folder / "plan.json", plan)
    return folder


def pack_part(folder: Path, number: int) -> None:
    """Pack the frames of one drive, and write the frames and the indices of the rows with usable frames to a folder."""
    out = folder / str(number)
    if out.exists():
        return
    plan = json.loads((folder / "plan.json").read_text())
    table, bad_rows = pd.read_parquet(folder / "table.parquet"), BadRows(plan["bad_rows"])
    rows = table[table["drive"] == table["drive"].unique()[number]]
    frames = open_frames(plan["reader"], Path(plan["raw"]))(rows)
    size = plan["size"] and tuple(plan["size"])
    with atomic_directory(out) as temporary:
        with open_writers(temporary) as writers:
            kept = pack_frames(frames, rows, writers, Crop(**plan["crop"]), bad_rows, size)
        write_json(temporary / "kept.json", {"rows": kept.index.tolist(), "left_out": bad_rows.counts})


def append_drive(drive: Path, writers: Writers, bad_rows: BadRows) -> np.ndarray:
    """Append the packed frames of a drive to the frames of the recording.

    Return the row indices of the appended frames.
    """
    for split in SPLITS:
        for frame in np.load(drive / f"{split}_frames.npy", mmap_mode="r"):
            writers[split].add(frame)
    kept = json.loads((drive / "kept.json").read_text())
    bad_rows.counts.update(kept["left_out"])
    return np.array(kept["rows"], np.int64)
