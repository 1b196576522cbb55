"""Test that a diverged training names the step, the layer and the items, and keeps its last checkpoint."""

import re
from typing import Any

import pytest
import torch

from children import in_child
from lectern.errors import UserError
from lectern.training import fit as training
from lectern.training.loader import InMemoryLoader
from small import RECIPE, STEPS, TRAINER, StatefulClassifier, digits, facts, fit, train
from test_resume import LAST, assert_equal_results, undisturbed
from test_training import RecordingClassifier, determinism

__all__ = ["determinism", "undisturbed"]  # imported because they are fixtures


class NotFinite(torch.autograd.Function):
    """A layer that multiplies its output or its gradient by NaN."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, part: str) -> torch.Tensor:
        ctx.part = part
        return values * float("nan") if part == "output" else values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return (gradient * float("nan") if ctx.part == "gradient" else gradient), None


class FailingClassifier(StatefulClassifier):
    """A classifier with a layer whose output or gradient is NaN, starting at a given step."""

    def __init__(self, step: int, layer: str, part: str, **recipe: Any):
        super().__init__(facts(), **{**RECIPE, **recipe})
        self.seen: list[list[int]] = []

        def spoil(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
            return NotFinite.apply(output, part) if self.training and self.trainer.global_step + 1 >= step else output

        self.get_submodule(layer).register_forward_hook(spoil)

    def training_step(self, batch, batch_idx):
        self.seen.append(self.trainer.train_dataloader.items.tolist())
        return super().training_step(batch, batch_idx)


def message_of_failure(tmp_path, *arguments: Any, **options: Any) -> tuple[str, FailingClassifier]:
    module = FailingClassifier(*arguments)
    with pytest.raises(UserError, match="Training has diverged") as error:
        fit(module, tmp_path, **options)
    return str(error.value), module


def layers() -> list[str]:
    return [name for name, _ in StatefulClassifier(facts(), **RECIPE).named_modules() if name and "." in name]


@pytest.mark.parametrize("step", [1, 8])
def test_message_has_the_step_and_the_first_layer_whose_output_is_not_finite(tmp_path, step):
    layer = layers()[2]
    message, module = message_of_failure(tmp_path, step, layer, "output")
    assert f"Training has diverged at step {step}: the output of {layer} is not finite" in message
    assert f"The batch has the items {', '.join(map(str, module.seen[-1]))}." in message
    assert "Lower the learning rate, or clip gradients" in message
    assert ("last.ckpt, was kept" in message) == (step > STEPS)


def test_message_has_the_first_layer_whose_gradient_is_not_finite(tmp_path):
    message, _ = message_of_failure(tmp_path, 3, layers()[-1], "gradient", clip_norm=1.0)
    first = next(name for name, _ in StatefulClassifier(facts(), **RECIPE).named_parameters())
    assert f"at step 3: the gradient of {first} is not finite" in message


def test_the_items_are_those_of_the_batch_with_the_value_that_is_not_finite(tmp_path):
    """With accumulated gradients, the second of three batches contains a damaged item."""
    images, labels = digits(0, 96)
    images = images.float()
    images[40] = float("nan")
    batches = InMemoryLoader(images, labels, batch_size=16)
    module = RecordingClassifier()
    best = {"metric": "validation_accuracy", "mode": "max"}
    with pytest.raises(UserError, match=re.escape("The batch has the items 32, 33,")) as error:
        training.fit(
            module, batches, InMemoryLoader(*digits(0, 16), batch_size=16),
            folder=tmp_path, trainer=TRAINER, best=best, epochs=1, accumulate=3,
        )  # fmt: skip
    assert "at step 1: the output of" in str(error.value)


@pytest.mark.parametrize("validations", [1, 2])
def test_a_weight_that_is_not_finite_is_neither_saved_nor_the_best(tmp_path, validations):
    """The loss stays finite, because the weight belongs to a layer that the network does not use."""

    class UnusedWeight(StatefulClassifier):
        def __init__(self) -> None:
            super().__init__(facts(), **RECIPE)
            self.unused = torch.nn.Parameter(torch.zeros(2))

        def on_train_batch_end(self, *_: Any) -> None:
            if self.trainer.global_step == STEPS + 2:
                self.unused.data[1] = float("inf")

    module = UnusedWeight()
    with pytest.raises(UserError, match="at step .*: the weight unused is not finite"):
        fit(module, tmp_path, validations_per_epoch=validations)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == STEPS and checkpoint["state_dict"]["unused"].tolist() == [0, 0]


@pytest.mark.slow
def test_training_continues_from_the_last_checkpoint_after_it_was_not_finite(tmp_path, undisturbed):
    """A fault of the machine occurs only once. The repeated command gives the bytes of an uninterrupted training."""

    def train_with_fault() -> None:
        compute = StatefulClassifier.training_step
        nan_from = 11

        def step(self: Any, batch: Any, batch_idx: int) -> torch.Tensor:
            return compute(self, batch, batch_idx) * (float("nan") if self.trainer.global_step >= nan_from else 1)

        StatefulClassifier.training_step = step
        train(tmp_path)

    ended = in_child(train_with_fault)
    assert ended.code == 1
    assert "diverged at step 12: the loss is not finite, although the output" in ended.said
    assert "validation_accuracy=0.25]\nTraceback" in ended.said  # the error is below the progress bar
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 9
    assert in_child(train, tmp_path).code == 0
    assert_equal_results(tmp_path, undisturbed)


def test_a_norm_that_overflows_does_not_end_a_training_with_finite_gradients(tmp_path):
    class LargeGradient(RecordingClassifier):
        def on_after_backward(self) -> None:
            parameter = next(self.parameters())
            assert parameter.grad is not None
            parameter.grad.fill_(3e38)

    fit(LargeGradient(learning_rate=1e-9), tmp_path, epochs=1)
