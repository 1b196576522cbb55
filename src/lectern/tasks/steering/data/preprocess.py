"""Prepare a recording: assign its frames to splits, pack the frames, and compute facts about the training data."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge, Le

from lectern.artifacts.dataset import Facts, write_facts
from lectern.artifacts.digests import content_digest, file_digest
from lectern.config import Amount, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from lectern.errors import UserError
from lectern.tasks.steering.data import parallel_packing
from lectern.tasks.steering.data.format.frames import Crop
from lectern.tasks.steering.data.format.shards import ShardWriter
from lectern.tasks.steering.data.packing import FrameWriter, Writers, open_writers, pack_frames
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.formats import read_recording
from lectern.tasks.steering.data.readers.recording import Recording
from lectern.tasks.steering.data.row_checks import drop_bad_rows, set_times
from lectern.tasks.steering.data.splits import SPLITS, Block, assign_splits, average_angle, find_runs

ImageSize = Annotated[int, Ge(1), Le(4096)]  # in pixels

EXAMPLE_FRAMES = 2  # number of frames in the example request; two frames make the time axis visible


def preprocess(
    raw: Path,
    out: Path,
    reader: str,
    test: list[Block] | Amount,
    validation: list[Block] | Amount,
    top: Fraction,
    bottom: Fraction,
    height: ImageSize = 66,
    width: ImageSize = 200,
    break_seconds: PositiveFloat = 0.5,
    gap_seconds: NonNegativeFloat = 2.0,
    average_seconds: PositiveFloat = 1.1,
    shortest: PositiveInt = 20,
    bad_rows: str = "stop",
    frame_rate: PositiveFloat | None = None,
    shard_megabytes: int | float | None = None,
) -> None:
    """Write `<split>_frames.npy` and the table `<split>.parquet` for each split, an example request, and the facts.

    `test` and `validation` are lists of blocks of frames. A number or a share selects the last frames of each drive.
    Training and validation frames are cropped and resized. Test frames stay raw. Each table has one row per frame, with
    the columns `drive`, `row`, `run`, `time`, `angle`, `angle_averaged` (mean over `average_seconds` around the frame)
    and the other targets. A sequence of fewer than `shortest` frames is dropped. `bad_rows` is `skip` to skip
    unusable rows, or `stop` to report the first unusable row. If `frame_rate` is given, it determines the times.
    `shard_megabytes` is the size of the Arrow files of training frames (docs/cluster.md).
    """
    bad, crop = BadRows(bad_rows), Crop(top, bottom, height, width)
    check_options(crop, shard_megabytes)
    recording = set_times(read_recording(reader, raw, bad), frame_rate)
    table = drop_bad_rows(recording, bad).assign(run=lambda rows: find_runs(rows, break_seconds))
    table["angle_averaged"] = average_angle(table, average_seconds)
    table["split"] = assign_splits(table, blocks := {"test": test, "validation": validation}, gap_seconds)
    table = drop_short_runs(table[table["split"] != "gap"], break_seconds, shortest, bad)
    out.mkdir(parents=True, exist_ok=True)
    with open_writers(out, shard_megabytes) as writers:
        table = pack_recording(raw, reader, recording, table, writers, crop, bad)
    table["run"] = find_runs(table, break_seconds)
    targets = [*recording.targets[:1], "angle_averaged", *recording.targets[1:]]
    save_example(recording, table, out)
    save_tables(table, targets, out)
    details = {
        "prepare": vars(crop),
        "unit": vars(recording.unit),
        "held_out": {**blocks, "gap_seconds": gap_seconds},
        "average_seconds": average_seconds,
        "left_out": dict(sorted(bad.counts.items())),
        "test_digest": digest_test(out, table, targets),
    }
    write_facts(out, compute_facts(table, targets) | details | shard_facts(writers["train"]))


def check_options(crop: Crop, shard_megabytes: int | float | None) -> None:
    if not (crop.top >= 0 and crop.bottom >= 0 and crop.top + crop.bottom < 1 and min(crop.height, crop.width) > 0):
        raise UserError(
            f"preprocess: top {crop.top}, bottom {crop.bottom}, height {crop.height}, width {crop.width}; expected "
            "top and bottom of at least 0 with a sum below 1, and a height and width above 0."
        )
    if shard_megabytes is not None and not shard_megabytes > 0:
        raise UserError(
            f"preprocess.shard_megabytes is {shard_megabytes}; expected a size above 0, or null for one file per split."
        )


def drop_short_runs(table: pd.DataFrame, break_seconds: float, shortest: int, bad_rows: BadRows) -> pd.DataFrame:
    """Return the rows that belong to uninterrupted runs of at least `shortest` frames.

    Short runs are normal, because recordings contain breaks. Short runs are therefore only counted, even if `bad_rows`
    is `stop`.
    """
    table = table.assign(run=find_runs(table, break_seconds))
    size = table.groupby("run")["run"].transform("size")
    if (size < shortest).any():
        bad_rows.counts[f"frames in runs shorter than {shortest}"] += int((size < shortest).sum())
    missing = set(SPLITS) - set(table["split"][size >= shortest])
    if missing:
        raise UserError(
            f"preprocess.shortest: no run of {shortest} frames is left for {' and '.join(sorted(missing))}; "
            f"the longest run has {size.max()} frames. Choose a smaller number."
        )
    return table[size >= shortest]


def pack_recording(
    raw: Path, reader: str, recording: Recording, table: pd.DataFrame, writers: Writers, crop: Crop, bad_rows: BadRows
) -> pd.DataFrame:
    """Pack the frames of a recording, with parallel processes if LAUNCH is set. Return the rows with usable frames."""
    if parallel_packing.is_enabled(table):
        return parallel_packing.pack_drives(raw, reader, recording, table, writers, crop, bad_rows)
    return pack_frames(recording.decode(table), table, writers, crop, bad_rows)


def save_tables(table: pd.DataFrame, targets: list[str], out: Path) -> None:
    for split in SPLITS:
        columns = ["drive", "row", "run", "time", *targets]
        table.loc[table["split"] == split, columns].to_parquet(out / f"{split}.parquet", index=False)


def compute_facts(table: pd.DataFrame, targets: list[str]) -> Facts:
    """Return the number of frames of each split, and the statistics of the targets on the training frames."""
    train = table[table["split"] == "train"]
    deviation = train[targets].std(ddof=0)
    return {
        "items": {split: int((table["split"] == split).sum()) for split in SPLITS},
        "targets": targets,
        "mean": {name: round(float(train[name].mean()), 6) for name in targets},
        "deviation": {name: round(float(deviation[name]), 6) or 1.0 for name in targets},
        "step_seconds": round(float(train.groupby("run")["time"].diff().median()), 4),
    }


def shard_facts(writer: FrameWriter | ShardWriter) -> Facts:
    """Return a dict with the number of training frames in each shard, or an empty dict if there are no shards."""
    return {"shards": {"train": writer.sizes}} if isinstance(writer, ShardWriter) else {}


def digest_test(out: Path, table: pd.DataFrame, targets: list[str]) -> str:
    """Return a digest of the raw test frames, the targets of the test frames, and the positions where runs start."""
    test = table[table["split"] == "test"]
    values = test[targets].to_numpy(np.float64)
    return content_digest([file_digest(out / "test_frames.npy")], values, test["run"].diff().to_numpy() != 0)


def save_example(recording: Recording, table: pd.DataFrame, out: Path) -> None:
    """Save two raw validation frames as an example request, uint8 (1, 2, height, width, 3)."""
    rows = table[table["split"] == "validation"][:EXAMPLE_FRAMES]
    np.save(out / "example.npy", np.stack([np.asarray(frame) for frame in recording.decode(rows)])[None])
