"""Several drives to their frames, each packed by a process of its own: all at once where LAUNCH sends them as jobs."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.digests import content_digest, file_digest
from lectern.artifacts.paths import DRIVES
from lectern.atomic import atomic_directory, write_json
from lectern.cluster.array_jobs import launch, make_elsewhere
from lectern.tasks.steering.data.format.frames import Crop
from lectern.tasks.steering.data.format.shards import ShardFiles
from lectern.tasks.steering.data.packing import FrameFile, frame_files, pack
from lectern.tasks.steering.data.readers import open_frames
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import Recording
from lectern.tasks.steering.data.splits import SPLITS

FOLDER = DRIVES


def are_wanted(table: pd.DataFrame) -> bool:
    """Whether there are several drives, and somewhere to send them."""
    return bool(launch()) and table["drive"].nunique() > 1


def pack_apart(
    raw: Path,
    reader: str,
    recording: Recording,
    table: pd.DataFrame,
    files: Mapping[str, FrameFile | ShardFiles],
    crop: Crop,
    faults: BadRows,
) -> pd.DataFrame:
    """The same as `packing.pack` of all drives one after the other. Interrupted, it goes on with those that lack."""
    folder = plan(raw, reader, recording, table, crop, faults)
    drives = table["drive"].nunique()
    make_elsewhere("steering", folder, drives)
    kept = [join(folder / str(number), files, faults) for number in range(drives)]
    shutil.rmtree(folder)
    return table.loc[np.concatenate(kept)]


def plan(raw: Path, reader: str, recording: Recording, table: pd.DataFrame, crop: Crop, faults: BadRows) -> Path:
    """A folder with what a process needs to know. Its name says what of: parts of other files or code are others."""
    size = next((frame.shape for frame in recording.frames(table) if not isinstance(frame, str)), None)
    told = {"raw": str(raw), "reader": reader, "crop": vars(crop), "faults": faults.policy, "size": size}
    files = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sorted(raw.rglob("*"))]
    code = [file_digest(path) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    rows = pd.util.hash_pandas_object(table).to_numpy()
    folder = FOLDER / f"{raw.name}-{content_digest([json.dumps(told), *files, *code], rows)[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "table.parquet")
    write_json(folder / "plan.json", told)
    return folder


def make(folder: Path, number: int) -> None:
    """One of the planned drives: its frames, and which rows they are of."""
    out = folder / str(number)
    if out.exists():
        return
    told = json.loads((folder / "plan.json").read_text())
    table, found = pd.read_parquet(folder / "table.parquet"), BadRows(told["faults"])
    rows = table[table["drive"] == table["drive"].unique()[number]]
    frames = open_frames(told["reader"], Path(told["raw"]))(rows)
    with atomic_directory(out) as part:
        with frame_files(part) as files:
            kept = pack(frames, rows, files, Crop(**told["crop"]), found, told["size"] and tuple(told["size"]))
        write_json(part / "kept.json", {"rows": kept.index.tolist(), "left_out": found.counts})


def join(part: Path, files: Mapping[str, FrameFile | ShardFiles], faults: BadRows) -> np.ndarray:
    """Add a drive's frames to the files of all; returns the rows that they are of."""
    for split in SPLITS:
        for frame in np.load(part / f"{split}_frames.npy", mmap_mode="r"):
            files[split].add(frame)
    told = json.loads((part / "kept.json").read_text())
    faults.counts.update(told["left_out"])
    return np.array(told["rows"], np.int64)
