"""A raw recording to packed splits of frames and what was done at each, plus the facts learned from training."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest, file_digest
from lectern.errors import UserError
from lectern.tasks.steering.data import parallel_packing
from lectern.tasks.steering.data.format.frames import Crop
from lectern.tasks.steering.data.packing import frame_files, pack
from lectern.tasks.steering.data.readers import read
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.recording import Recording
from lectern.tasks.steering.data.splits import SPLITS, Block, assign, average, find_runs
from lectern.tasks.steering.data.validation import usable

EXAMPLE = 2  # frames of the example request: enough to show that time is an axis


def preprocess(
    raw: Path,
    out: Path,
    reader: str,
    test: list[Block],
    validation: list[Block],
    top: float,
    bottom: float,
    height: int = 66,
    width: int = 200,
    break_seconds: float = 0.5,
    gap_seconds: float = 2.0,
    average_seconds: float = 1.1,
    shortest: int = 20,
    faults: str = "stop",
    shard_megabytes: int | float | None = None,
) -> None:
    """Write `<split>_frames.npy` and `<split>.parquet` for each split, an example request, and the facts.

    Frames of training and validation are as the network takes them, those of test raw. The tables hold, a row a
    frame, `drive`, `row`, `run`, `time`, `angle`, `angle_averaged` (over `average_seconds` around it) and what else
    was recorded. Runs of fewer than `shortest` frames are left out and counted; `faults` says whether rows that
    cannot be used are too (skip), or the first one stops. With `shard_megabytes` the training frames are in Arrow
    files of that size, for recordings that do not fit a machine's memory (docs/cluster.md).
    """
    found, crop = BadRows(faults), check_crop(Crop(top, bottom, height, width))
    check_shards(shard_megabytes)
    recording = read(reader, raw, found)
    table = usable(recording, found).assign(run=0)
    table["run"] = find_runs(table, break_seconds)
    table["angle_averaged"] = average(table, average_seconds)
    blocks = {"test": test, "validation": validation}
    table["split"] = assign(table, blocks, gap_seconds)
    table = leave_out_short(table[table["split"] != "gap"], break_seconds, shortest, found)
    out.mkdir(parents=True, exist_ok=True)
    with frame_files(out, shard_megabytes) as files:
        if parallel_packing.are_wanted(table):
            table = parallel_packing.pack_apart(raw, reader, recording, table, files, crop, found)
        else:
            table = pack(recording.frames(table), table, files, crop, found)
    table["run"] = find_runs(table, break_seconds)
    save_example(recording, table, out)
    targets = [*recording.targets[:1], "angle_averaged", *recording.targets[1:]]
    for split in SPLITS:
        columns = ["drive", "row", "run", "time", *targets]
        table.loc[table["split"] == split, columns].to_parquet(out / f"{split}.parquet", index=False)
    facts = learn_facts(table, targets) | {
        "prepare": vars(crop),
        "unit": vars(recording.unit),
        "held_out": {**blocks, "gap_seconds": gap_seconds},
        "average_seconds": average_seconds,
        "left_out": dict(sorted(found.counts.items())),
        "test_digest": digest_test(out, table, targets),
    }
    if shard_megabytes:
        facts["shards"] = {"train": files["train"].sizes}
    write_facts(out, facts)


def check_crop(crop: Crop) -> Crop:
    if not (crop.top >= 0 and crop.bottom >= 0 and crop.top + crop.bottom < 1 and min(crop.height, crop.width) > 0):
        raise UserError(
            f"preprocess: top {crop.top} and bottom {crop.bottom} are shares of the height, below 1 together."
        )
    return crop


def check_shards(megabytes: int | float | None) -> None:
    if megabytes is not None and not megabytes > 0:
        raise UserError(f"preprocess.shard_megabytes is {megabytes}; a size above 0 is expected, or null for one file.")


def leave_out_short(table: pd.DataFrame, break_seconds: float, shortest: int, faults: BadRows) -> pd.DataFrame:
    """The rows in runs long enough. Recording breaks are usual: short runs are counted and never stop."""
    table = table.assign(run=find_runs(table, break_seconds))
    size = table.groupby("run")["run"].transform("size")
    if (size < shortest).any():
        faults.counts[f"frames in runs shorter than {shortest}"] += int((size < shortest).sum())
    missing = set(SPLITS) - set(table["split"][size >= shortest])
    if missing:
        raise UserError(
            f"preprocess.shortest: no run of {shortest} frames is left for {' and '.join(sorted(missing))}; "
            f"the longest has {size.max()}."
        )
    return table[size >= shortest]


def learn_facts(table: pd.DataFrame, targets: list[str]) -> Facts:
    """Counts of all splits; mean and deviation of each target, and the time between frames, from training alone."""
    train = table[table["split"] == "train"]
    deviation = train[targets].std(ddof=0)
    return {
        "items": {split: int((table["split"] == split).sum()) for split in SPLITS},
        "targets": targets,
        "mean": {name: round(float(train[name].mean()), 6) for name in targets},
        "deviation": {name: round(float(deviation[name]), 6) or 1.0 for name in targets},
        "step_seconds": round(float(train.groupby("run")["time"].diff().median()), 4),
    }


def digest_test(out: Path, table: pd.DataFrame, targets: list[str]) -> str:
    """What the test data is: raw frames, what was done at each, and where runs end."""
    test = table[table["split"] == "test"]
    values = test[targets].to_numpy(np.float64)
    return content_digest([file_digest(out / "test_frames.npy")], values, test["run"].diff().to_numpy() != 0)


def save_example(recording: Recording, table: pd.DataFrame, out: Path) -> None:
    """Two validation frames as a request holds them: raw, uint8 (1, 2, height, width, 3)."""
    rows = table[table["split"] == "validation"][:EXAMPLE]
    np.save(out / "example.npy", np.stack(list(recording.frames(rows)))[None])
