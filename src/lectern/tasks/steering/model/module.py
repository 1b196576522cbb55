"""Batches of a drive's stretches to a network that steers."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from lectern.config import nearest
from lectern.errors import UserError
from lectern.tasks.steering.model import inference, networks
from lectern.tasks.steering.model.augmentation import coin, light, mirror
from lectern.tasks.steering.model.features import mirrored_or_not, see_all
from lectern.tasks.steering.model.scaling import scale
from lectern.training.optimizers import one_cycle


class SteeringModel(pl.LightningModule):
    """One of `networks` under squared error, AdamW and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` is `{class: PilotNet, ...its arguments}`; `weights` what it learns and how much each error counts, in
    deviations of the training data: what a recording lacks is left out. `label` is the angle that is learned:
    `angle` as it was recorded, or `angle_averaged`. `mirror` and `shadow` are chances, `brightness` a share; all
    three are drawn for each stretch.
    """

    def __init__(
        self,
        facts: dict,
        network: dict,
        weights: dict,
        learning_rate: float,
        label: str = "angle_averaged",
        weight_decay: float = 0.0,
        warm_up: float = 0.25,
        mirror: float = 0.5,
        brightness: float = 0.3,
        shadow: float = 0.5,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.outputs = learned(weights, facts)
        self.columns = [facts["targets"].index(label if name == "angle" else name) for name in self.outputs]
        names = [facts["targets"][column] for column in self.columns]
        # a mirrored drive is as likely as the drive itself, so the angle has no mean
        self.keep("means", [0.0 if name.startswith("angle") else facts["mean"][name] for name in names])
        self.keep("deviations", [facts["deviation"][name] for name in names])
        self.keep("shares", [weights[name] for name in self.outputs])
        self.network = networks.build(network, facts["prepare"], len(self.outputs))
        self.sums = torch.nn.ModuleDict({name: MeanMetric() for name in ("loss", "rmse", "rmse_averaged")})
        self.resume_state: dict[str, Tensor] = {}
        self.step_metrics: dict[str, Tensor] = {}

    def keep(self, name: str, values: list[float]) -> None:
        """A tensor that follows the module to its device, and is not part of its weights."""
        self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 frames (B, length, height, width, 3) to outputs (B, windows, positions, outputs), in deviations."""
        return self.network(scale(frames))

    def on_train_start(self) -> None:
        window = getattr(self.trainer.train_dataloader, "window", self.network.window)
        if window != self.network.window:
            raise UserError(f"batches.window is {window}, but the network looks at {self.network.window} frames.")

    def training_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> Tensor:
        frames, targets, loss_weight = batch
        mirrored = coin(len(frames), self.hparams.mirror, frames.device)
        outputs = self.network(self.augment(frames, mirrored))
        loss = self.loss(outputs, self.wanted(targets, outputs, mirrored))
        self.step_metrics = {"loss": loss.detach()}
        return loss * loss_weight

    def augment(self, frames: Tensor, mirrored: Tensor) -> Tensor:
        """Scaled frames of the same drives, some mirrored and all in another light."""
        return scale(mirror(frames, mirrored), light(frames, self.hparams.brightness, self.hparams.shadow))

    def wanted(self, targets: Tensor, outputs: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Targets (B, length, targets) of a batch to what `outputs` should be, in deviations and of its shape."""
        wanted = (targets[..., self.columns] - self.means) / self.deviations
        if mirrored is not None:
            turned = torch.where(mirrored, -1.0, 1.0).view(-1, 1, 1)
            wanted = torch.cat([wanted[..., :1] * turned, wanted[..., 1:]], 2)
        windows = wanted.unfold(1, wanted.shape[1] - outputs.shape[1] + 1, 1)  # (B, windows, outputs, window)
        return windows[..., -outputs.shape[2] :].transpose(2, 3)

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """The mean squared error over frames, each output with its weight."""
        return ((outputs - wanted).square() * self.shares).sum(-1).mean()

    def validation_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> None:
        frames, targets, loss_weight = batch
        if loss_weight:  # without one, another process measures it
            self.measure(self(frames), targets)

    def measure(self, outputs: Tensor, targets: Tensor) -> None:
        """Add what a batch's windows say of their last frame to the sums of this validation."""
        last = outputs[:, :, -1:]
        self.sums["loss"].update(self.loss(last, self.wanted(targets, last)), last[..., 0].numel())
        self.sums["rmse"].update(self.squared_errors(last, targets, "angle"))
        self.sums["rmse_averaged"].update(self.squared_errors(last, targets, "angle_averaged"))

    def squared_errors(self, last: Tensor, targets: Tensor, label: str) -> Tensor:
        """Of the angle at the last frame of each window (B, windows), in the square of its own unit."""
        true = targets[:, -last.shape[1] :, self.facts["targets"].index(label)]
        return (last[:, :, 0, 0] * self.deviations[0] - true).square()

    def on_validation_epoch_end(self) -> None:
        means = {name: mean.compute() for name, mean in self.sums.items()}
        self.log_dict({f"validation_{name}": m.sqrt() if name != "loss" else m for name, m in means.items()})
        for mean in self.sums.values():
            mean.reset()

    def configure_optimizers(self) -> dict[str, Any]:
        return self.optimize([self.parameters()], [self.hparams.learning_rate], [0, self.steps])

    @property
    def steps(self) -> int:
        return int(self.trainer.estimated_stepping_batches)

    def optimize(self, groups: list, rates: list[float], bounds: list[int]) -> dict[str, Any]:
        """Each group of parameters learns between its two bounds, in steps, through one cycle to its peak rate."""
        options = [{"params": list(group), "lr": rate} for group, rate in zip(groups, rates, strict=True)]
        optimizer = torch.optim.AdamW(options, weight_decay=self.hparams.weight_decay, fused=True)
        cycles = [
            one_cycle(first, last, self.hparams.warm_up, start=0.04)
            for first, last in zip(bounds, bounds[1:], strict=False)
        ]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, cycles), "interval": "step"}}

    def predict(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Prepared windows uint8 (n, time, height, width, 3) to what to do at the last frame of each, name to (n,)."""
        return inference.look(self, windows)


class FeatureSteeringModel(SteeringModel):
    """A CNN that learns from single frames for `glance_epochs`, then an LSTM from what it saw of every frame.

    The frames are looked at once, as they are and mirrored; what was seen is kept in `data/features`. Until the LSTM
    begins it says zero, so that no earlier epoch can be the best; `validation_glance_rmse` is the CNN's own.
    """

    def __init__(
        self,
        facts: dict,
        network: dict,
        weights: dict,
        learning_rate: float,
        glance_epochs: int,
        glance_learning_rate: float,
        label: str = "angle_averaged",
        weight_decay: float = 0.0,
        warm_up: float = 0.25,
        mirror: float = 0.5,
        brightness: float = 0.3,
        shadow: float = 0.5,
    ):
        super().__init__(
            facts, network, weights, learning_rate, label, weight_decay, warm_up, mirror, brightness, shadow
        )
        self.save_hyperparameters()
        self.sums["glance_rmse"] = MeanMetric()
        self.resume_state = {"glance_rmse": torch.zeros(())}

    @property
    def glances(self) -> bool:
        """Whether this is an epoch of the CNN's."""
        return self.current_epoch < self.hparams.glance_epochs

    def on_train_start(self) -> None:
        if self.hparams.glance_epochs >= self.trainer.max_epochs:
            raise UserError(
                f"module.glance_epochs is {self.hparams.glance_epochs} of {self.trainer.max_epochs} epochs: "
                "the LSTM needs some too."
            )
        super().on_train_start()
        self.hand_over()  # a run that goes on within an epoch does not start that epoch

    def on_train_epoch_start(self) -> None:
        self.hand_over()

    def hand_over(self) -> None:
        """Have the loaders give single frames at first, then windows of what was seen of each frame."""
        for loader in (self.trainer.train_dataloader, self.trainer.val_dataloaders):
            loader.window = 1 if self.glances else self.network.window
            if not self.glances and loader.inputs.dtype == torch.uint8:
                loader.inputs = see_all(self.network.glance.see, loader.inputs)

    def training_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> Tensor:
        inputs, targets, loss_weight = batch
        mirrored = coin(len(inputs), self.hparams.mirror, inputs.device)
        if self.glances:
            outputs = self.network.glance(self.augment(inputs, mirrored))
        else:
            outputs = self.network.think(mirrored_or_not(inputs, mirrored))
        loss = self.loss(outputs, self.wanted(targets, outputs, mirrored))
        self.step_metrics = {"loss": loss.detach()}
        # DDP wants every parameter in every step; those that rest have a rate of zero
        return loss * loss_weight + 0 * sum(parameter.sum() for parameter in self.network.parameters())

    def validation_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> None:
        inputs, targets, loss_weight = batch
        if not loss_weight:
            return
        if self.glances:
            outputs = self.network.glance(scale(inputs))
            self.sums["glance_rmse"].update(self.squared_errors(outputs, targets, "angle"))
            self.measure(torch.zeros_like(outputs), targets)
        else:
            self.measure(self.network.think(inputs[:, :, 0]), targets)

    def on_validation_epoch_end(self) -> None:
        if not self.glances:
            self.sums["glance_rmse"].update(self.resume_state["glance_rmse"].square())
        self.resume_state["glance_rmse"] = self.sums["glance_rmse"].compute().sqrt()
        super().on_validation_epoch_end()

    def configure_optimizers(self) -> dict[str, Any]:
        change = self.steps * self.hparams.glance_epochs // self.trainer.max_epochs
        groups = [self.network.glance.parameters(), self.network.late_parameters()]
        rates = [self.hparams.glance_learning_rate, self.hparams.learning_rate]
        return self.optimize(groups, rates, [0, change, self.steps])


def learned(weights: dict[str, float], facts: dict) -> list[str]:
    """What the network says, the angle first. Raises UserError for a name that no recording has."""
    known = [*(name for name in facts["targets"] if name != "angle_averaged"), "speed", "throttle", "brake", "torque"]
    for name in weights:
        if name not in known:
            raise UserError(f"module.weights: nothing is called {name!r}{nearest(name, known)} There is: {known}.")
    if "angle" not in weights:
        raise UserError("module.weights: the angle is missing; a network that steers learns at least that.")
    return ["angle", *(name for name in weights if name != "angle" and name in facts["targets"])]
