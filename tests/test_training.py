"""Training: what is kept, what is written down, and what is said when it cannot go on."""

import pandas as pd
import pytest
import torch

from children import at_call, in_child
from lectern.errors import UserError
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.training import fit as training
from lectern.training.callbacks import KeepBest
from lectern.training.history import History
from small import BEST, RECIPE, STEPS, TRAINER, digits, facts, fit


class Noted(DigitClassifier):
    """Notes what it sees, and measures what it is told to."""

    def __init__(self, measured: list[float] = (), **recipe):
        super().__init__(facts(), **{**RECIPE, **recipe})
        self.measured = list(measured)
        self.losses, self.seen, self.shown = [], [], 0

    def training_step(self, batch, index):
        self.seen.append((self.trainer.current_epoch, batch[0][:, 0, 0].tolist(), batch[1].tolist()))
        loss = super().training_step(batch, index)
        self.losses.append(loss.item())
        return loss

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        if self.measured:
            self.log("validation_made_up", torch.tensor(self.measured.pop(0)))


@pytest.fixture(autouse=True)
def as_before():
    """Training asks torch for deterministic algorithms, and so leaves it."""
    training.set_determinism(7, threads=1)
    yield
    torch.use_deterministic_algorithms(False)


def rows_of(history: History) -> pd.DataFrame:
    return pd.DataFrame(history.records)


def test_every_epoch_has_its_own_order_and_every_item_once(tmp_path):
    module = Noted()
    fit(module, tmp_path, epochs=3)
    epochs = [[image for epoch, images, _ in module.seen for image in images if epoch == number] for number in range(3)]
    there = digits(0, 92)[0][:, 0, 0].tolist()
    assert [sorted(epoch) for epoch in epochs] == [sorted(there)] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_history_averages_the_steps_of_its_interval(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "History", lambda **more: History(every=4, **more))
    module = Noted()
    table = rows_of(fit(module, tmp_path, epochs=2))
    loss = table[table["name"] == "train_loss"]
    ends = [4, 6, 8, 12]  # of intervals: every fourth step, and the end of each epoch of six
    starts = [0, 4, 6, 8]
    wanted = [sum(module.losses[start:end]) / (end - start) for start, end in zip(starts, ends, strict=True)]
    assert loss["step"].tolist() == ends
    assert loss["epoch"].tolist() == [0, 0, 1, 1]
    assert loss["value"].tolist() == pytest.approx(wanted, rel=1e-6)


def test_history_has_every_validation_value_at_its_step(tmp_path):
    table = rows_of(fit(Noted([1.0, 2.0, 3.0, 4.0]), tmp_path, epochs=2, validations_per_epoch=2))
    made_up = table[table["name"] == "validation_made_up"]
    assert made_up[["step", "epoch", "value"]].values.tolist() == [[3, 0, 1.0], [6, 0, 2.0], [9, 1, 3.0], [12, 1, 4.0]]
    assert {"validation_loss", "validation_accuracy"} < set(table["name"])


def test_the_listener_gets_each_row_once_while_training_goes_on(tmp_path):
    heard: list[list] = []
    history = fit(Noted(), tmp_path, epochs=2, listen=lambda rows, shown: heard.append(list(rows)))
    assert [row for rows in heard for row in rows] == history.records
    assert len([rows for rows in heard if rows]) == 2  # one batch an epoch


def test_what_a_module_shows_is_kept_with_its_step(tmp_path):
    class Showing(Noted):
        def text_samples(self):
            return {"sample": f"after {self.trainer.global_step} steps"}

    history = fit(Showing(), tmp_path, epochs=2)
    assert [(shown.step, shown.epoch, shown.text) for shown in history.text_samples] == [
        (6, 0, "after 6 steps"),
        (12, 1, "after 12 steps"),
    ]


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 1)])
def test_the_weights_of_the_best_validation_are_what_is_left(tmp_path, mode, best):
    module, weights = Noted([0.5, 0.1, 0.9, 0.7]), []
    keep = {"metric": "validation_made_up", "mode": mode}
    fit(
        module, tmp_path, epochs=4, best=keep,
        listen=lambda *_: weights.append(module.network[0].weight.detach().clone()),
    )  # fmt: skip
    after_each = weights[::2]  # the listener is called after the validation and at the end of the epoch
    assert len(after_each) == 4
    assert [torch.equal(module.network[0].weight, kept) for kept in after_each] == [at == best for at in range(4)]


def test_a_tie_keeps_the_earlier_weights():
    keep = KeepBest(**BEST)
    trainer = type("Trainer", (), {"state": type("State", (), {"fn": "fit"}), "callback_metrics": {}})
    trainer.callback_metrics["validation_accuracy"] = torch.tensor(0.5)
    for value in (1.0, 2.0):
        module = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(module.weight, value)
        keep.on_validation_end(trainer, module)
    assert keep.weights["weight"].item() == 1.0


def test_the_gradient_is_clipped_and_how_often_is_written_down(tmp_path):
    table = rows_of(fit(Noted(), tmp_path, epochs=1, clip_norm=1e-9))
    values = table.set_index("name")["value"]
    assert values["train_clipped"] == 1.0 and values["train_gradient_norm"] > 1e-9
    table = rows_of(fit(Noted(), tmp_path / "loose", epochs=1, clip_norm=1e9))
    assert table.set_index("name")["value"]["train_clipped"] == 0.0


def test_a_clipped_step_is_no_longer_than_it_may_be(tmp_path):
    module, norms = Noted(), []
    at_clip = training.ClipNorm.on_before_optimizer_step

    def note(self, trainer, module, optimizer):
        at_clip(self, trainer, module, optimizer)
        norms.append(torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm().item())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.ClipNorm, "on_before_optimizer_step", note)
        fit(module, tmp_path, epochs=1, clip_norm=0.01)
    assert len(norms) == STEPS and max(norms) <= 0.01 * 1.001


# What is said when it cannot go on


def test_a_training_that_diverges_says_so_and_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"train_loss became (nan|inf) at step \d+: training has diverged. Lower the"):
        fit(Noted(learning_rate=1e30), tmp_path)


def test_a_metric_that_is_not_measured_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"no 'validation_acuracy' is measured; did you mean 'validation_accuracy'\?"):
        fit(Noted(), tmp_path, best={"metric": "validation_acuracy", "mode": "max"})


def test_a_mode_that_does_not_exist_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"best\.mode is 'maximum'; did you mean 'max'\?"):
        fit(Noted(), tmp_path, best={**BEST, "mode": "maximum"})


@pytest.mark.parametrize(
    "wrong",
    [{"accelerator": "gpu"}, {"accelerator": "gpuu"}, {"strategy": "dpp"}, {"devices": 0}, {"devices": "many"}],
    ids=str,
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_trainer_that_this_machine_cannot_run_is_said(tmp_path, wrong):
    with pytest.raises(UserError, match="cannot run this trainer.*TRAINER=laptop"):
        fit(Noted(), tmp_path, trainer={**TRAINER, **wrong})


def test_a_precision_that_does_not_exist_is_said(tmp_path):
    with pytest.raises(UserError, match="31-true"):
        fit(Noted(), tmp_path, precision="31-true")


def test_a_step_limit_beside_epochs_is_refused(tmp_path):
    def with_limit() -> None:
        trainer = training.pl.Trainer
        training.pl.Trainer = lambda **arguments: trainer(**arguments, max_steps=5)
        fit(Noted(), tmp_path)

    ended = in_child(with_limit)
    assert ended.code == 1 and "exact resume needs max_epochs without max_steps" in ended.said


def test_an_interrupted_training_keeps_the_last_good_checkpoint(tmp_path):
    """Lightning's own `save_on_exception` would overwrite it with one that skips a batch."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def interrupted() -> None:
        at_call(Noted, "training_step", 9, interrupt)
        fit(Noted(), tmp_path)

    assert in_child(interrupted).code != 0
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == STEPS
