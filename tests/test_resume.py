"""A training that is killed at any moment and started again ends with the bytes of an undisturbed one."""

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
from small import STEPS, Restless, train

FILES = ("weights.safetensors", "module.json", "history.csv")
LAST = "run/last.ckpt"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """A training from its start to its end. It saves after steps 3 4 6, 8 9 12, 15 16 18 of 18."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert in_child(train, folder).code == 0
    return folder


def train_until(folder: Path, owner: Any, method: str, call: int, after: bool = False, act=die, **more) -> None:
    at_call(owner, method, call, act, after)
    train(folder, **more)


def assert_same(folder: Path, undisturbed: Path) -> None:
    """The same model folder and, of what is not exported, the same optimizer, schedule, and random states."""
    for name in FILES:
        assert (folder / "model" / name).read_bytes() == (undisturbed / "model" / name).read_bytes(), name
    here, there = (torch.load(path / LAST, weights_only=True) for path in (folder, undisturbed))
    assert differences(here, there) == []


def differences(here: Any, there: Any, where: str = "") -> list[str]:
    """Where two checkpoints differ: bit by bit, down to the last tensor."""
    if isinstance(here, dict) and isinstance(there, dict) and here.keys() == there.keys():
        return [line for key in here for line in differences(here[key], there[key], f"{where}/{key}")]
    if isinstance(here, list | tuple) and isinstance(there, list | tuple) and len(here) == len(there):
        pairs = enumerate(zip(here, there, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{where}/{number}")]
    same = torch.equal(here, there) if torch.is_tensor(here) and torch.is_tensor(there) else here == there
    return [] if same else [where]


def half_of_it(checkpoint: Any, file: Any) -> None:
    """A write that the power cut ends."""
    file.write(b"PK\x03\x04" + b"\0" * 10_000)
    file.flush()
    die()


# owner, method, the call of it, and whether it is let through first
QUICK = {
    "a step after a save within an epoch": (Restless, "training_step", 6),
    "a step after the save of a validation": (Restless, "training_step", 10),
    "in a validation within an epoch": (Restless, "validation_step", 6),
    "before the save of an epoch's end": (ExactResume, "on_train_epoch_end", 2),
    "between the two renames of a save": (atomic.os, "replace", 4, True),
    "after the end, before the export": (callbacks.KeepBest, "put_back", 1),
    "between the files of the export": (model_folder, "write_json", 1),
}
# at least one kill between any two saves, before, within and after each; every step would take twice as long
MORE = {
    **{f"before step {step}": (Restless, "training_step", step) for step in range(1, 3 * STEPS + 1, 2)},
    **{f"before save {save}": (AtomicCheckpointIO, "save_checkpoint", save) for save in range(1, 10)},
    **{f"after save {save}": (AtomicCheckpointIO, "save_checkpoint", save, True) for save in range(1, 10)},
    **{f"after rename {rename}": (atomic.os, "replace", rename, True) for rename in range(1, 20, 3)},
    **{f"in validation batch {batch}": (Restless, "validation_step", batch, True) for batch in range(1, 13, 2)},
    **{f"after the end of epoch {epoch}": (ExactResume, "on_train_epoch_end", epoch, True) for epoch in (1, 2, 3)},
    **{f"before history's row {row}": (fit.History, "add", row) for row in (1, 4, 9, 20)},
    "after the weights are put back": (callbacks.KeepBest, "put_back", 1, True),
    "after the export": (model_folder, "write_json", 1, True),
}


def assert_a_kill_changes_nothing(folder: Path, undisturbed: Path, point: tuple, **more: Any) -> None:
    assert in_child(train_until, folder, *point, **more).code == KILLED
    assert in_child(train, folder, **more).code == 0
    assert_same(folder, undisturbed)


def test_two_folders_get_the_same_bytes(tmp_path, undisturbed):
    assert in_child(train, tmp_path).code == 0
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("point", QUICK.values(), ids=QUICK)
def test_a_killed_training_ends_with_the_bytes_of_an_undisturbed_one(tmp_path, undisturbed, point):
    assert_a_kill_changes_nothing(tmp_path, undisturbed, point)


@pytest.mark.faults
@pytest.mark.parametrize("point", MORE.values(), ids=MORE)
def test_a_training_may_be_killed_anywhere(tmp_path, undisturbed, point):
    assert_a_kill_changes_nothing(tmp_path, undisturbed, point)


@pytest.mark.parametrize("batch", [1, 5])
def test_a_validation_that_falls_on_a_save_is_not_skipped(tmp_path, undisturbed, batch):
    """Saved before it, the training would go on after it: a history row and maybe the best weights would be lost."""
    point = (Restless, "validation_step", batch)
    assert_a_kill_changes_nothing(tmp_path, undisturbed, point, every=STEPS // 2)


@pytest.mark.parametrize("save", [1, 5])
def test_a_checkpoint_half_written_does_no_harm(tmp_path, undisturbed, save):
    def cut_off() -> None:
        at_call(AtomicCheckpointIO, "save_checkpoint", save, lambda: setattr(checkpointing.torch, "save", half_of_it))
        train(tmp_path)

    assert in_child(cut_off).code == KILLED
    assert list((tmp_path / "run").glob(".last.ckpt.*.part"))
    assert in_child(train, tmp_path).code == 0
    assert_same(tmp_path, undisturbed)


def test_a_training_killed_every_few_steps_arrives_all_the_same(tmp_path, undisturbed):
    kills = 0
    while (ended := in_child(train_until, tmp_path, Restless, "training_step", 5)).code == KILLED:
        kills += 1
    assert ended.code == 0 and kills >= 3
    assert_same(tmp_path, undisturbed)


@pytest.mark.faults
@pytest.mark.parametrize("step", [2, 5, 6, 8, 13])
def test_accumulated_gradients_survive_a_kill(tmp_path, tmp_path_factory, step):
    reference = tmp_path_factory.mktemp("accumulated")
    assert in_child(train, reference, accumulate=3, validations_per_epoch=1).code == 0
    point = (Restless, "training_step", step)
    assert_a_kill_changes_nothing(tmp_path, reference, point, accumulate=3, validations_per_epoch=1)


def ends_with(folder: Path, step: int, method: str = "training_step") -> tuple[int, bool]:
    ended = in_child(train_until, folder, Restless, method, step, act=ask_to_end)
    return ended.code, (folder / "model").exists()


@pytest.mark.parametrize(("method", "call"), [("training_step", 5), ("validation_step", 3)])
def test_a_training_told_to_end_exits_with_143_and_goes_on_later(tmp_path, undisturbed, method, call):
    assert ends_with(tmp_path, call, method) == (143, False)  # 0 would tell DVC that it succeeded
    assert (tmp_path / LAST).exists()
    assert in_child(train, tmp_path).code == 0
    assert_same(tmp_path, undisturbed)


def test_a_training_told_to_end_saves_the_step_that_it_is_in(tmp_path):
    assert ends_with(tmp_path, 2) == (143, False)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 2


def test_another_seed_gives_other_weights(tmp_path, undisturbed):
    assert in_child(train, tmp_path, seed=8).code == 0
    weights = [(folder / "model" / FILES[0]).read_bytes() for folder in (tmp_path, undisturbed)]
    assert weights[0] != weights[1]


# The checkpoint's file


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "damage",
    [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"not a checkpoint at all" * 9],
    ids=["empty", "cut short", "something else"],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, undisturbed, damage: Callable):
    whole = (undisturbed / LAST).read_bytes()
    last = write(tmp_path / "last.ckpt", damage(whole))
    assert last_valid_checkpoint(last) is None
    before = write(tmp_path / "last.ckpt.previous", whole)
    assert last_valid_checkpoint(last) == before


def test_a_checkpoint_never_runs_code(tmp_path):
    """A pickle that would write a file when it is loaded is no checkpoint."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"trap": Trap()}, tmp_path / "last.ckpt")
    assert last_valid_checkpoint(tmp_path / "last.ckpt") is None
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_leaves_the_checkpoint_before_and_says_so(tmp_path):
    def full(checkpoint, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    checkpoints, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    checkpoints.save_checkpoint({"step": torch.tensor(1)}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing.torch, "save", full)
        with pytest.raises(UserError, match=r"last\.ckpt could not be written.*No space left.*previous checkpoint is still there"):
            checkpoints.save_checkpoint({"step": torch.tensor(2)}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"step": torch.tensor(1)}


def test_a_checkpoint_of_other_processes_is_refused_with_what_to_do(tmp_path, undisturbed):
    def with_two() -> None:
        checkpointing.rank_and_world_size = lambda: (0, 2)
        checkpointing.dist.all_gather_object = lambda ranks, mine: ranks.__setitem__(slice(None), [mine, mine])
        train(tmp_path)

    write(tmp_path / LAST, (undisturbed / LAST).read_bytes())
    ended = in_child(with_two)
    assert ended.code == 1
    assert "saved by 1 processes and this run has 2" in ended.said and "Run with as many as before" in ended.said
