"""Test how the frames of a recording are divided into runs and assigned to splits."""

import numpy as np
import pandas as pd
import pytest

from lectern.errors import UserError
from lectern.tasks.steering.data.splits import assign_splits, average_angle, find_runs


def test_averaged_angle_is_a_centered_mean_within_a_run():
    table = pd.DataFrame({"drive": "a", "time": [0.0, 0.1, 0.2, 0.3, 5.0, 5.1], "angle": [0.0, 3, 0, 0, 9, 9]})
    table["run"] = find_runs(table, 0.5)
    assert table["run"].tolist() == [0, 0, 0, 0, 1, 1]
    assert average_angle(table, 0.2).tolist() == pytest.approx([1.5, 1, 1, 0, 9, 9])


def test_malformed_empty_or_close_blocks_are_rejected():
    table = pd.DataFrame({"drive": "a", "row": range(100), "time": np.arange(100) / 10})
    validation = [[35, 50]]
    with pytest.raises(UserError, match=r"preprocess\.validation: \[35, 50\] is closer than 2\.0 s to a block of test"):
        assign_splits(table, {"test": [[10, 30]], "validation": validation}, 2.0)
    with pytest.raises(UserError, match=r"preprocess\.test: \[200, 300\] contains no frame\. .* has rows 0 to 99"):
        assign_splits(table, {"test": [[200, 300]], "validation": validation}, 2.0)
    with pytest.raises(UserError, match=r"\[30, 10\] is not a block"):
        assign_splits(table, {"test": [[30, 10]], "validation": validation}, 2.0)
    with pytest.raises(UserError, match="no frame is left for train"):
        assign_splits(table, {"test": ["a"], "validation": []}, 2.0)


def test_drive_can_be_held_out_by_name():
    table = pd.DataFrame({"drive": list("aabbcc"), "row": range(6), "time": [0.0, 1, 0, 1, 0, 1]})
    split = assign_splits(table, {"test": ["b"], "validation": ["c"]}, 2.0)
    assert split.tolist() == ["train"] * 2 + ["test"] * 2 + ["validation"] * 2


@pytest.mark.parametrize("amounts", [(0.2, 0.25), (20, 20)], ids=["shares", "numbers"])
def test_the_last_frames_of_each_drive_are_held_out_with_a_gap(amounts):
    table = pd.DataFrame({"drive": ["a"] * 100 + ["b"] * 100, "time": [*range(100)] * 2, "row": range(200)})
    split = assign_splits(table, dict(zip(("test", "validation"), amounts, strict=True)), 2.0)
    expected = ["train"] * 58 + ["gap"] + ["validation"] * 20 + ["gap"] + ["test"] * 20
    assert split.tolist() == expected * 2
