"""Find the first layer in forward order with an output or gradient that is not finite."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils._pytree import tree_leaves

from lectern.training.module import TrainableModule
from lectern.training.random_state import get_cuda_random_state


@dataclass
class StepStart:
    """The batch of a training step and the states before the step, which are needed to repeat the step."""

    batch: Any
    batch_idx: int
    items: Any  # indices of the batch's items, see ResumableLoader
    resume_state: dict[str, Tensor]
    # random state of PyTorch only; to store the random states of Python and NumPy would take 0.3 ms per step
    random: Tensor = field(default_factory=torch.get_rng_state)
    cuda_random: Tensor | None = field(default_factory=get_cuda_random_state)

    def __post_init__(self) -> None:
        self.resume_state = dict(self.resume_state)


@dataclass
class Pass:
    """The record of a repeated forward pass.

    `modules` contains the layers in the order in which their forward passes ended. `first` is the name of the first
    layer whose output is not finite.
    """

    modules: dict[str, nn.Module]
    first: str | None = None


def locate_in_steps(trainer: pl.Trainer, module: TrainableModule, steps: Sequence[StepStart]) -> tuple[str, Any] | None:
    """Repeat the batches of an optimizer step, and find the first output, loss or gradient that is not finite.

    Return a description of the found value and the items of its batch. Return None if all values of this rank are
    finite.
    """
    resume_state = module.resume_state
    try:
        for step in steps:
            if place := locate_in_batch(trainer, module, step):
                return place, step.items
    finally:
        module.resume_state = resume_state
    return None


def locate_in_batch(trainer: pl.Trainer, module: TrainableModule, step: StepStart) -> str | None:
    """Repeat the training step of one batch, and describe the first output, loss or gradient that is not finite.

    Return None if all outputs, losses and gradients are finite.
    """
    module.resume_state = dict(step.resume_state)
    torch.set_rng_state(step.random)
    if step.cuda_random is not None:
        torch.cuda.set_rng_state(step.cuda_random)
    with torch.enable_grad(), record_outputs(module) as forward, trainer.precision_plugin.train_step_context():
        loss = module.training_step(step.batch, step.batch_idx)
    assert isinstance(loss, Tensor)
    if forward.first:
        return f"the output of {forward.first} is not finite (the first such layer in forward order)"
    if not loss.isfinite():
        return "the loss is not finite, although the output of every layer is finite"
    parameters = {name: value for name, value in in_forward_order(module, forward) if value.requires_grad}
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    names = zip(parameters, gradients, strict=True)
    name = find_nonfinite({name: gradient for name, gradient in names if gradient is not None})
    return f"the gradient of {name} is not finite (the first such layer in forward order)" if name else None


@contextmanager
def record_outputs(module: nn.Module) -> Iterator[Pass]:
    """Record the forward pass of a module inside the block.

    PyTorch calls the hook of an inner layer before the hook of the outer layer.
    """
    forward = Pass({})
    hooks = []

    def add_hook(name: str, layer: nn.Module) -> None:
        def record(_: nn.Module, __: Any, output: Any) -> None:
            forward.modules.setdefault(name, layer)
            if forward.first is None and find_nonfinite(dict(enumerate_tensors(name, output))):
                forward.first = name

        hooks.append(layer.register_forward_hook(record))

    for name, layer in module.named_modules():
        if name:
            add_hook(name, layer)
    try:
        yield forward
    finally:
        for hook in hooks:
            hook.remove()


def enumerate_tensors(name: str, output: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield (unique name, tensor) for each tensor in the nested output of a layer."""
    tensors = (leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
    return ((f"{name}[{index}]", tensor.detach()) for index, tensor in enumerate(tensors))


def in_forward_order(module: nn.Module, forward: Pass) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters of the recorded layers in forward order, and then all parameters of the module."""
    for name, layer in forward.modules.items():
        for key, parameter in layer.named_parameters(recurse=False):
            yield f"{name}.{key}", parameter
    yield from module.named_parameters()


def find_nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is not finite, or None if all values are finite.

    The norm of all tensors is checked first, because `isfinite` needs memory for a mask of each tensor.
    """
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if get_total_norm(list(floating.values())).isfinite():
        return None
    return next((name for name, tensor in floating.items() if not tensor.isfinite().all()), None)
