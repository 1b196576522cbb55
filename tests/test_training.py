"""Test training: the weights that are kept, the history, and the messages of user errors."""

import importlib
import warnings
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import lectern
from children import at_call, in_child
from lectern.errors import UserError
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.training import callbacks
from lectern.training import fit as training
from lectern.training.history import History
from small import BEST, RECIPE, STEPS, TRAINER, digits, facts, fit


class RecordingClassifier(DigitClassifier):
    """A classifier that records its batches and losses, and logs given validation values."""

    def __init__(self, validation_values: list[float] | None = None, **recipe):
        super().__init__(facts(), **{**RECIPE, **recipe})
        self.validation_values = list(validation_values or [])
        self.losses: list[float] = []
        self.batches: list[tuple[int, list[int]]] = []  # epoch, and first pixel of each image in the batch

    def training_step(self, batch, batch_idx):
        self.batches.append((self.trainer.current_epoch, batch[0][:, 0, 0].tolist()))
        loss = super().training_step(batch, batch_idx)
        self.losses.append(loss.item())
        return loss

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        if self.validation_values:
            self.log("validation_test", torch.tensor(self.validation_values.pop(0)))


@pytest.fixture(autouse=True)
def determinism():
    """Set the random seeds before a test. After the test, switch the deterministic algorithms of PyTorch off again."""
    training.set_determinism(7, threads=1)
    yield
    torch.use_deterministic_algorithms(False)


def table_of(history: History) -> pd.DataFrame:
    return pd.DataFrame(history.records)


def test_each_epoch_has_every_item_once_in_a_new_order(tmp_path):
    module = RecordingClassifier()
    fit(module, tmp_path, epochs=3)
    epochs = [[image for epoch, images in module.batches for image in images if epoch == number] for number in range(3)]
    all_images = sorted(digits(0, 92)[0][:, 0, 0].tolist())
    assert [sorted(epoch) for epoch in epochs] == [all_images] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_history_averages_the_steps_of_each_interval(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "History", lambda **options: History(interval=4, **options))
    module = RecordingClassifier()
    table = table_of(fit(module, tmp_path, epochs=2))
    loss = table[table["name"] == "train_loss"]
    ends = [4, 6, 8, 12]  # ends of the intervals: every fourth step, and the end of each epoch of six steps
    starts = [0, 4, 6, 8]
    expected = [sum(module.losses[start:end]) / (end - start) for start, end in zip(starts, ends, strict=True)]
    assert loss["step"].tolist() == ends
    assert loss["epoch"].tolist() == [0, 0, 1, 1]
    assert loss["value"].tolist() == pytest.approx(expected, rel=1e-6)


def test_history_contains_each_validation_value_with_its_step(tmp_path):
    module = RecordingClassifier([1.0, 2.0, 3.0, 4.0])
    table = table_of(fit(module, tmp_path, epochs=2, validations_per_epoch=2))
    values = table[table["name"] == "validation_test"]
    assert values[["step", "epoch", "value"]].values.tolist() == [[3, 0, 1.0], [6, 0, 2.0], [9, 1, 3.0], [12, 1, 4.0]]
    assert {"validation_loss", "validation_accuracy"} < set(table["name"])


def test_on_records_receives_each_record_once_during_training(tmp_path):
    calls: list[list] = []
    history = fit(RecordingClassifier(), tmp_path, epochs=2, on_records=lambda records, _: calls.append(list(records)))
    assert [record for records in calls for record in records] == history.records
    # The function is called with new records once per epoch.
    assert len([records for records in calls if records]) == 2


def test_text_samples_are_recorded_with_their_step(tmp_path):
    class SamplingClassifier(RecordingClassifier):
        def text_samples(self):
            return {"sample": f"after {self.trainer.global_step} steps"}

    history = fit(SamplingClassifier(), tmp_path, epochs=2)
    assert [(sample.step, sample.epoch, sample.text) for sample in history.text_samples] == [
        (6, 0, "after 6 steps"),
        (12, 1, "after 12 steps"),
    ]


@pytest.mark.parametrize(("mode", "best_epoch"), [("max", 2), ("min", 1)])
def test_training_ends_with_the_weights_of_the_best_validation(tmp_path, mode, best_epoch):
    module, weights = RecordingClassifier([0.5, 0.1, 0.9, 0.7]), []
    fit(
        module, tmp_path, epochs=4, best={"metric": "validation_test", "mode": mode},
        on_records=lambda *_: weights.append(module.network[0].weight.detach().clone()),
    )  # fmt: skip
    after_validation = weights[::2]  # `on_records` is called after the validation and at the end of the epoch
    assert len(after_validation) == 4
    equal = [torch.equal(module.network[0].weight, kept) for kept in after_validation]
    assert equal == [epoch == best_epoch for epoch in range(4)]


def test_equal_validation_results_keep_the_earlier_weights():
    keep_best = callbacks.KeepBest(**BEST)
    metrics = {"validation_accuracy": torch.tensor(0.5)}
    trainer = Mock(spec=pl.Trainer, state=Mock(fn="fit"), callback_metrics=metrics)
    for value in (1.0, 2.0):
        module = pl.LightningModule()
        module.weight = torch.nn.Parameter(torch.tensor(value))
        keep_best.on_validation_end(trainer, module)
    assert keep_best.weights["weight"].item() == 1.0


def test_history_records_the_gradient_norm_and_how_often_it_was_clipped(tmp_path):
    values = table_of(fit(RecordingClassifier(), tmp_path, epochs=1, clip_norm=1e-9)).set_index("name")["value"]
    assert values["train_clipped"] == 1.0 and values["train_gradient_norm"] > 1e-9
    values = table_of(fit(RecordingClassifier(), tmp_path / "loose", epochs=1, clip_norm=1e9)).set_index("name")[
        "value"
    ]
    assert values["train_clipped"] == 0.0


def test_clipped_gradients_do_not_exceed_the_limit(tmp_path, monkeypatch):
    module, norms = RecordingClassifier(), []
    clip = callbacks.ClipNorm.on_before_optimizer_step

    def record_norm(self, trainer, pl_module, optimizer):
        clip(self, trainer, pl_module, optimizer)
        gradients = [parameter.grad.norm() for parameter in module.parameters() if parameter.grad is not None]
        norms.append(torch.stack(gradients).norm().item())

    monkeypatch.setattr(callbacks.ClipNorm, "on_before_optimizer_step", record_norm)
    fit(module, tmp_path, epochs=1, clip_norm=0.01)
    assert len(norms) == STEPS and max(norms) <= 0.01 * 1.001


def test_training_shows_no_warnings_of_libraries(tmp_path):
    with warnings.catch_warnings(record=True) as shown:
        warnings.resetwarnings()  # Remove the warning filters of pytest.
        warnings.simplefilter("ignore", DeprecationWarning)  # Python ignores this category by default.
        importlib.reload(lectern)
        module = RecordingClassifier()
        module.eval()
        fit(module, tmp_path, epochs=1)
    assert [str(warning.message) for warning in shown] == []


# User errors


def test_diverging_training_is_an_error_that_suggests_a_lower_learning_rate(tmp_path):
    with pytest.raises(UserError, match=r"Training has diverged at step \d+: the .* is not finite.* Lower the"):
        fit(RecordingClassifier(learning_rate=1e30), tmp_path)


def test_unknown_best_metric_is_an_error_that_names_the_nearest(tmp_path):
    expected = r"unknown metric 'validation_acuracy'; did you mean 'validation_accuracy'\?"
    with pytest.raises(UserError, match=expected):
        fit(RecordingClassifier(), tmp_path, best={"metric": "validation_acuracy", "mode": "max"})


@pytest.mark.parametrize(
    "wrong",
    [{"accelerator": "gpu"}, {"accelerator": "gpuu"}, {"strategy": "dpp"}, {"devices": 0}, {"devices": "many"}],
    ids=str,
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_trainer_that_this_machine_cannot_run_is_an_error(tmp_path, wrong):
    with pytest.raises(UserError, match="cannot run this trainer.*TRAINER=laptop"):
        fit(RecordingClassifier(), tmp_path, trainer={**TRAINER, **wrong})


def test_step_limit_in_addition_to_epochs_is_rejected(tmp_path):
    def train_with_step_limit() -> None:
        create_trainer = pl.Trainer

        def with_limit(**options: Any) -> pl.Trainer:
            return create_trainer(**options, max_steps=5)

        training.pl.Trainer = with_limit
        fit(RecordingClassifier(), tmp_path)

    child = in_child(train_with_step_limit)
    assert child.code == 1 and "exact resume requires max_epochs" in child.said


def test_interrupted_training_keeps_the_last_checkpoint(tmp_path):
    """Lightning's option `save_on_exception` would replace the last checkpoint by a checkpoint that skips a batch."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def train_until_interrupted() -> None:
        at_call(RecordingClassifier, "training_step", 9, interrupt)
        fit(RecordingClassifier(), tmp_path)

    assert in_child(train_until_interrupted).code != 0
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == STEPS
