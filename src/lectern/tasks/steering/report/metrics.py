"""A table of what was done and predicted, a row a frame, to numbers: how far off, how smooth, how late."""

import numpy as np
import pandas as pd

BLOCK_SECONDS = 5.0  # neighbouring frames are alike: the gate resamples runs of so long
AGO_SECONDS = 0.5
LATEST_SECONDS = 2.0  # the largest lag that is looked for


def rmse(errors: np.ndarray | pd.Series) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def number_blocks(runs: pd.Series, step_seconds: float) -> np.ndarray:
    """The number of each frame's block: at most BLOCK_SECONDS of one run."""
    within = runs.groupby(runs).cumcount() // max(1, round(BLOCK_SECONDS / step_seconds))
    return pd.MultiIndex.from_arrays([runs, within]).factorize()[0]


def smoothness(values: pd.Series, runs: pd.Series) -> float:
    """The mean absolute change from a frame to the next, within runs."""
    return float(values.groupby(runs).diff().abs().mean())


def ago(values: pd.Series, runs: pd.Series, frames: int) -> pd.Series:
    """The value so many frames before (after, if negative), NaN where the run has none."""
    return values.groupby(runs).shift(frames)


def lag(items: pd.DataFrame, step_seconds: float) -> float:
    """By how many seconds the prediction is late: the shift of the true angle that it fits best.

    All shifts are compared on the same frames, those that have a true angle so far before and after.
    """
    furthest = round(LATEST_SECONDS / step_seconds)
    shifts = range(-furthest, furthest + 1)
    shifted = pd.DataFrame({shift: ago(items["angle"], items["run"], shift) for shift in shifts}).dropna()
    if shifted.empty:
        return 0.0
    errors = (shifted.sub(items["prediction"].loc[shifted.index], axis=0) ** 2).mean()
    return round(float(errors.idxmin()) * step_seconds, 4)


def baselines(items: pd.DataFrame, label: str, mean: float, step_seconds: float) -> dict[str, float]:
    """The RMSE of saying zero, the training mean, and what the driver did half a second ago."""
    true = items[label]
    before = ago(items["angle"], items["run"], max(1, round(AGO_SECONDS / step_seconds)))
    return {"zero": rmse(true), "mean": rmse(true - mean), "half_a_second_ago": rmse((true - before).dropna())}
