"""Compute the error, the smoothness and the lag of predictions from a table with one row per frame."""

import numpy as np
import pandas as pd

MAX_LAG_SECONDS = 2.0


def rmse(errors: np.ndarray | pd.Series) -> float:
    """Return the root mean square of the errors."""
    return float(np.sqrt(np.mean(np.square(errors))))


def smoothness(values: pd.Series, runs: pd.Series) -> float:
    """Return the mean absolute change of a value from one frame to the next frame of an uninterrupted run."""
    return float(values.groupby(runs).diff().abs().mean())


def shift_in_runs(values: pd.Series, runs: pd.Series, frames: int) -> pd.Series:
    """Return for each frame the value `frames` frames earlier, or NaN if the run did not contain that frame yet.

    If `frames` is negative, later frames are selected.
    """
    return values.groupby(runs).shift(frames)


def find_lag(items: pd.DataFrame, step_seconds: float) -> float:
    """Return the delay of the predicted angle after the true angle in seconds.

    The delay is the shift in time at which the true angle fits the prediction best. Only frames that have a true angle
    at every shift are used. If no frame has a true angle at every shift, the delay is 0.
    """
    largest = round(MAX_LAG_SECONDS / step_seconds)
    shifts = range(-largest, largest + 1)
    shifted = pd.DataFrame({shift: shift_in_runs(items["angle"], items["run"], shift) for shift in shifts}).dropna()
    if shifted.empty:
        return 0.0
    errors = (shifted.sub(items["prediction"].loc[shifted.index], axis=0) ** 2).mean()
    return round(float(errors.idxmin()) * step_seconds, 4)
