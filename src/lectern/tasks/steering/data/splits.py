"""A table of frames to runs without a break, and to a split for each frame, with a gap around what is held out."""

import pandas as pd

from lectern.errors import UserError

Block = list[int] | str  # [first row, row after the last], or the name of a whole drive
HELD_OUT = ("test", "validation")
SPLITS = ("train", *HELD_OUT)


def find_runs(table: pd.DataFrame, break_seconds: float) -> pd.Series:
    """The number of each row's run. A run ends where the drive, or the split, does, or after a longer pause."""
    ends = table["drive"].ne(table["drive"].shift()) | (table["time"].diff() > break_seconds)
    if "split" in table:
        ends |= table["split"].ne(table["split"].shift())
    return ends.cumsum() - 1


def average(table: pd.DataFrame, seconds: float) -> pd.Series:
    """The angle averaged over a window of so many seconds around each frame, within its run."""
    when = pd.to_datetime(table["time"], unit="s")
    by_time = pd.Series(table["angle"].to_numpy(), index=when).groupby(table["run"].to_numpy())
    window = pd.Timedelta(seconds=seconds)
    means = [run.rolling(window, center=True, min_periods=1, closed="both").mean() for _, run in by_time]
    return pd.Series(pd.concat(means).to_numpy(), index=table.index)


def assign(table: pd.DataFrame, blocks: dict[str, list[Block]], gap_seconds: float) -> pd.Series:
    """`train`, `validation`, `test` or `gap` for each row: frames nearer to a held-out one than the gap are in none.

    Raises UserError for a block without frames, or blocks of two splits that are nearer to each other than the gap.
    """
    split = pd.Series("train", index=table.index)
    for name in HELD_OUT:
        for block in blocks[name]:
            inside = rows_of(table, block, name)
            near = find_near(table, inside, gap_seconds)
            other = HELD_OUT[1 - HELD_OUT.index(name)]
            if (split[inside | near] == other).any():
                raise UserError(f"preprocess.{name}: {block} is nearer than {gap_seconds} s to a block of {other}.")
            split[near & (split != name)] = "gap"
            split[inside] = name
    missing = {"train", *HELD_OUT} - set(split)
    if missing:
        raise UserError(f"preprocess: no frame is left for {' and '.join(sorted(missing))}; choose other blocks.")
    return split


def rows_of(table: pd.DataFrame, block: Block, name: str) -> pd.Series:
    """Which rows a block means. Raises UserError where there are none."""
    if isinstance(block, str):
        inside = table["drive"] == block
    elif len(block) == 2 and block[0] < block[1]:
        inside = table["row"].between(block[0], block[1] - 1)
    else:
        raise UserError(f"preprocess.{name}: {block} is no block; write [first row, row after the last] or a drive.")
    if not inside.any():
        drives = ", ".join(table["drive"].unique()[:10])
        rows = f"rows {table['row'].min()} to {table['row'].max()}"
        raise UserError(f"preprocess.{name}: {block} holds no frame. There are {rows}, and the drives {drives}.")
    return inside


def find_near(table: pd.DataFrame, inside: pd.Series, gap_seconds: float) -> pd.Series:
    """Rows outside that are nearer than the gap to a row inside, in the same drive."""
    near = pd.Series(False, index=table.index)
    for drive, times in table["time"][inside].groupby(table["drive"][inside]):
        between = table["time"].between(times.min() - gap_seconds, times.max() + gap_seconds, inclusive="neither")
        near |= (table["drive"] == drive) & between
    return near & ~inside
