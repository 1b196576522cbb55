"""Find uninterrupted runs of frames, and assign frames to splits with a gap around each held-out block."""

from collections.abc import Iterator

import pandas as pd

from lectern.artifacts.split_sizes import count_items
from lectern.config import Amount
from lectern.errors import UserError

Block = list[int] | str  # [first row, row after the last], or the name of a drive
HELD_OUT = ("test", "validation")
SPLITS = ("train", *HELD_OUT)


def find_runs(table: pd.DataFrame, break_seconds: float) -> pd.Series:
    """Number the uninterrupted runs of frames. Return for each row the index of the run that contains the row.

    A run starts at the first frame of a drive or of a split, and after a pause of more than `break_seconds`.
    """
    starts = table["drive"].ne(table["drive"].shift()) | (table["time"].diff() > break_seconds)
    if "split" in table:
        starts |= table["split"].ne(table["split"].shift())
    return starts.cumsum() - 1


def average_angle(table: pd.DataFrame, seconds: float) -> pd.Series:
    """Return for each frame the mean angle of the frames in a window of `seconds` around the frame.

    The window contains only frames of one uninterrupted run.
    """
    time = pd.to_datetime(table["time"], unit="s")
    angle_by_run = pd.Series(table["angle"].to_numpy(), index=time).groupby(table["run"].to_numpy())
    window = pd.Timedelta(seconds=seconds)
    means = [run.rolling(window, center=True, min_periods=1, closed="both").mean() for _, run in angle_by_run]
    return pd.Series(pd.concat(means).to_numpy(), index=table.index)


def assign_splits(table: pd.DataFrame, blocks: dict[str, list[Block] | Amount], gap_seconds: float) -> pd.Series:
    """Return the split of each row: `train`, `validation`, `test` or `gap`.

    A split of `blocks` is a list of blocks, or a number or a share of the frames at the end of each drive.

    A row that is closer than `gap_seconds` to a held-out block becomes `gap` and is not used. Raises UserError if a
    block is empty, or if a test block and a validation block are closer than `gap_seconds`.
    """
    split = pd.Series("train", index=table.index)
    for name in HELD_OUT:
        for block, inside in select_blocks(table, split, blocks[name], name):
            near = find_near(table, inside, gap_seconds)
            other = HELD_OUT[1 - HELD_OUT.index(name)]
            if (split[inside | near] == other).any():
                raise UserError(
                    f"preprocess.{name}: {block} is closer than {gap_seconds} s to a block of {other}. "
                    "Move one of the two blocks."
                )
            split[near & (split != name)] = "gap"
            split[inside] = name
    missing = {"train", *HELD_OUT} - set(split)
    if missing:
        raise UserError(f"preprocess: no frame is left for {' and '.join(sorted(missing))}; choose other blocks.")
    return split


def select_blocks(
    table: pd.DataFrame, split: pd.Series, blocks: list[Block] | Amount, name: str
) -> Iterator[tuple[Block, pd.Series]]:
    """Yield each block of a split, and a mask of the rows that the block contains."""
    if isinstance(blocks, list):
        yield from ((block, rows_of_block(table, block, name)) for block in blocks)
        return
    for drive, rows in table[split == "train"].groupby("drive", sort=False):
        count = count_items(blocks, len(rows), f"preprocess.{name}", f"free frames of the drive {drive}")
        yield str(drive), table.index.to_series().isin(rows.index[-count:])


def rows_of_block(table: pd.DataFrame, block: Block, name: str) -> pd.Series:
    """Return a mask of the rows that a block contains.

    Raises UserError if the block is malformed or contains no row.
    """
    if isinstance(block, str):
        inside = table["drive"] == block
    elif len(block) == 2 and block[0] < block[1]:
        inside = table["row"].between(block[0], block[1] - 1)
    else:
        raise UserError(
            f"preprocess.{name}: {block} is not a block; "
            "expected [first row, row after the last] or the name of a drive."
        )
    if not inside.any():
        drives = ", ".join(table["drive"].unique()[:10])
        rows = f"rows {table['row'].min()} to {table['row'].max()}"
        raise UserError(
            f"preprocess.{name}: {block} contains no frame. The recording has {rows} and the drives {drives}."
        )
    return inside


def find_near(table: pd.DataFrame, inside: pd.Series, gap_seconds: float) -> pd.Series:
    """Return a mask of the rows in the gap around a block. The gap belongs to the drive of the block."""
    near = pd.Series(False, index=table.index)
    for drive, times in table["time"][inside].groupby(table["drive"][inside]):
        between = table["time"].between(times.min() - gap_seconds, times.max() + gap_seconds, inclusive="neither")
        near |= (table["drive"] == drive) & between
    return near & ~inside
