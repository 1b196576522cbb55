"""Test that a killed training that is resumed ends with the bytes of an uninterrupted training."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from children import KILLED, ask_to_end, at_call, die, in_child
from lectern import atomic
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.training import callbacks, checkpointing, fit
from lectern.training.checkpointing import AtomicCheckpointIO, ExactResume, last_valid_checkpoint
from marked_cases import mostly
from small import STEPS, StatefulClassifier, train

FILES = ("weights.safetensors", "module.json", "history.csv")
LAST = "run/last.ckpt"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """Return the folder of an uninterrupted training of 18 steps.

    The training saves after the steps 3, 4, 6, 8, 9, 12, 15, 16 and 18.
    """
    folder = tmp_path_factory.mktemp("undisturbed")
    assert in_child(train, folder).code == 0
    return folder


def train_until(folder: Path, owner: Any, method: str, call: int, after: bool = False, act=die, **options) -> None:
    at_call(owner, method, call, act, after)
    train(folder, **options)


def assert_equal_results(folder: Path, undisturbed: Path) -> None:
    """Compare the bytes of the model folders, and the optimizer, schedule and random states of the checkpoints."""
    for name in FILES:
        assert (folder / "model" / name).read_bytes() == (undisturbed / "model" / name).read_bytes(), name
    first, second = (torch.load(path / LAST, weights_only=True) for path in (folder, undisturbed))
    assert list_differences(first, second) == []


def list_differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Return the paths of the values in which two nested checkpoints differ."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return [line for key in first for line in list_differences(first[key], second[key], f"{path}/{key}")]
    if isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        return [line for index, pair in pairs for line in list_differences(*pair, f"{path}/{index}")]
    tensors = torch.is_tensor(first) and torch.is_tensor(second)
    return [] if (torch.equal(first, second) if tensors else first == second) else [path]


def write_half_and_die(checkpoint: Any, file: Any) -> None:
    """Simulate a power failure while a checkpoint is written."""
    file.write(b"PK\x03\x04" + b"\0" * 10_000)
    file.flush()
    die()


# owner, method, number of the call, and whether the process is killed after the call instead of before
QUICK = {
    "a step after a save within an epoch": (StatefulClassifier, "training_step", 6),
    "a step after the save of a validation": (StatefulClassifier, "training_step", 10),
    "during a validation within an epoch": (StatefulClassifier, "validation_step", 6),
    "before the save at the end of an epoch": (ExactResume, "on_train_epoch_end", 2),
    "between the two renames of a save": (atomic.os, "replace", 4, True),
    "after the end, before the export": (callbacks.KeepBest, "restore_best_weights", 1),
    "between the files of the export": (model_folder, "write_json", 1),
}
# at least one kill between any two saves, and before, during and after each save; a kill at every step would take twice
# as long
EXHAUSTIVE = {
    **{f"before step {step}": (StatefulClassifier, "training_step", step) for step in range(1, 3 * STEPS + 1, 2)},
    **{f"before save {save}": (AtomicCheckpointIO, "save_checkpoint", save) for save in range(1, 10)},
    **{f"after save {save}": (AtomicCheckpointIO, "save_checkpoint", save, True) for save in range(1, 10)},
    **{f"after rename {rename}": (atomic.os, "replace", rename, True) for rename in range(1, 20, 3)},
    **{f"validation batch {batch}": (StatefulClassifier, "validation_step", batch, True) for batch in range(1, 13, 2)},
    **{f"after the end of epoch {epoch}": (ExactResume, "on_train_epoch_end", epoch, True) for epoch in (1, 2, 3)},
    **{f"before history record {record}": (fit.History, "add_record", record) for record in (1, 4, 9, 20)},
    "after the best weights are restored": (callbacks.KeepBest, "restore_best_weights", 1, True),
    "after the export": (model_folder, "write_json", 1, True),
}


def assert_resume_after_kill(folder: Path, undisturbed: Path, point: tuple, **options: Any) -> None:
    assert in_child(train_until, folder, *point, **options).code == KILLED
    assert in_child(train, folder, **options).code == 0
    assert_equal_results(folder, undisturbed)


def test_two_trainings_give_the_same_bytes(tmp_path, undisturbed):
    assert in_child(train, tmp_path).code == 0
    assert_equal_results(tmp_path, undisturbed)


@pytest.mark.parametrize("name", mostly("slow", QUICK, always=list(QUICK)[:2]))
def test_resumed_training_gives_the_same_bytes(tmp_path, undisturbed, name):
    assert_resume_after_kill(tmp_path, undisturbed, QUICK[name])


@pytest.mark.faults
@pytest.mark.parametrize("point", EXHAUSTIVE.values(), ids=EXHAUSTIVE)
def test_a_training_that_is_killed_at_any_point_resumes_to_the_same_bytes(tmp_path, undisturbed, point):
    assert_resume_after_kill(tmp_path, undisturbed, point)


@pytest.mark.parametrize("batch", mostly("slow", [1, 5], always=[5]))
def test_validation_at_the_step_of_a_save_is_not_skipped(tmp_path, undisturbed, batch):
    """A save before the validation would lose the history records of the validation, and maybe the best weights."""
    point = (StatefulClassifier, "validation_step", batch)
    assert_resume_after_kill(tmp_path, undisturbed, point, interval=STEPS // 2)


@pytest.mark.parametrize("save", mostly("slow", [1, 5], always=[5]))
def test_half_written_checkpoint_is_ignored(tmp_path, undisturbed, save):
    def train_until_power_failure() -> None:
        fail = lambda: setattr(checkpointing.torch, "save", write_half_and_die)  # noqa: E731
        at_call(AtomicCheckpointIO, "save_checkpoint", save, fail)
        train(tmp_path)

    def leftovers() -> list[Path]:
        return list((tmp_path / "run").glob(".last.ckpt.*.part"))

    assert in_child(train_until_power_failure).code == KILLED
    assert leftovers()
    assert in_child(train, tmp_path).code == 0
    assert not leftovers()
    assert_equal_results(tmp_path, undisturbed)


@pytest.mark.slow
def test_training_that_is_killed_every_few_steps_finishes(tmp_path, undisturbed):
    kills = 0
    while (child := in_child(train_until, tmp_path, StatefulClassifier, "training_step", 5)).code == KILLED:
        kills += 1
    assert child.code == 0 and kills >= 3
    assert_equal_results(tmp_path, undisturbed)


@pytest.mark.faults
@pytest.mark.parametrize("step", [2, 5, 6, 8, 13])
def test_accumulated_gradients_are_not_lost_after_a_kill(tmp_path, tmp_path_factory, step):
    reference = tmp_path_factory.mktemp("accumulated")
    options = {"accumulate": 3, "validations_per_epoch": 1}
    assert in_child(train, reference, **options).code == 0
    assert_resume_after_kill(tmp_path, reference, (StatefulClassifier, "training_step", step), **options)


def stop_at(folder: Path, call: int, method: str = "training_step") -> tuple[int, bool]:
    """Send SIGTERM at a call of a method. Return the exit code and whether there is a model folder."""
    child = in_child(train_until, folder, StatefulClassifier, method, call, act=ask_to_end)
    return child.code, (folder / "model").exists()


@pytest.mark.parametrize(("method", "call"), [("training_step", 5), ("validation_step", 3)])
def test_sigterm_exits_with_143_and_training_resumes(tmp_path, undisturbed, method, call):
    # If the exit code were 0, DVC would record the stage as successful.
    assert stop_at(tmp_path, call, method) == (143, False)
    assert (tmp_path / LAST).exists()
    assert in_child(train, tmp_path).code == 0
    assert_equal_results(tmp_path, undisturbed)


def test_sigterm_saves_the_current_step(tmp_path):
    assert stop_at(tmp_path, 2) == (143, False)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 2


def test_another_seed_gives_other_weights(tmp_path, undisturbed):
    assert in_child(train, tmp_path, seed=8).code == 0
    first, second = ((folder / "model" / FILES[0]).read_bytes() for folder in (tmp_path, undisturbed))
    assert first != second


# The checkpoint file


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[: len(content) // 2], lambda content: b"not a checkpoint" * 9],
    ids=["empty", "truncated", "another format"],
)
def test_damaged_checkpoint_is_replaced_by_the_previous_one(tmp_path, undisturbed, damage: Callable):
    content = (undisturbed / LAST).read_bytes()
    last = write(tmp_path / "last.ckpt", damage(content))
    assert last_valid_checkpoint(last) is None
    previous = write(tmp_path / "last.ckpt.previous", content)
    assert last_valid_checkpoint(last) == previous


def test_checkpoint_never_runs_code(tmp_path):
    class CodeOnLoad:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"code": CodeOnLoad()}, tmp_path / "last.ckpt")
    assert last_valid_checkpoint(tmp_path / "last.ckpt") is None
    assert not (tmp_path / "ran").exists()


def test_full_disk_keeps_the_previous_checkpoint_and_is_a_user_error(tmp_path, monkeypatch):
    def fill_disk(checkpoint, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    checkpoint_io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    checkpoint_io.save_checkpoint({"step": torch.tensor(1)}, path)
    monkeypatch.setattr(checkpointing.torch, "save", fill_disk)
    with pytest.raises(UserError, match=r"last\.ckpt could not be written.*No space left.*earlier checkpoint was kept"):
        checkpoint_io.save_checkpoint({"step": torch.tensor(2)}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"step": torch.tensor(1)}


def test_checkpoint_of_another_number_of_processes_is_rejected(tmp_path, undisturbed):
    def train_as_one_of_two() -> None:
        checkpointing.rank_and_world_size = lambda: (0, 2)
        checkpointing.dist.all_gather_object = lambda ranks, mine: ranks.__setitem__(slice(None), [mine, mine])
        train(tmp_path)

    write(tmp_path / LAST, (undisturbed / LAST).read_bytes())
    child = in_child(train_as_one_of_two)
    assert child.code == 1
    assert (
        "saved by 1 processes, but this training has 2" in child.said
        and "Train with the earlier number of processes" in child.said
    )
