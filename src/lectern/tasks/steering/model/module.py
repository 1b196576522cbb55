"""Train a network that predicts the steering angle from sequences of frames."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from lectern.config import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from lectern.errors import UserError
from lectern.tasks.steering.model import networks
from lectern.tasks.steering.model.augmentation import brightness_factors, mirror, random_choice
from lectern.tasks.steering.model.features import encode_frames, select_mirrored
from lectern.tasks.steering.model.scaling import scale
from lectern.tasks.steering.model.targets import TargetScaling
from lectern.training.module import TrainableModule
from lectern.training.optimizers import one_cycle

Batch = tuple[Tensor, Tensor, float]  # frames (B, length, height, width, 3), targets (B, length, targets), loss weight


class RootMean(MeanMetric):
    """The square root of the mean of all values, such as the RMSE if the values are squared errors."""

    def compute(self) -> Tensor:
        return super().compute().sqrt()


class SteeringModel(TrainableModule):
    """A network trained with squared error, AdamW and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` is a section `{class: PilotNet, ...}`. `weights` and `label` select the targets to learn, see
    `TargetScaling`. `mirror` and `shadow` are probabilities, and `brightness` is the largest relative change. The
    random values are drawn separately for each sequence.
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {
        "": ["facts.prepare", "facts.targets", "facts.unit", "network.class", "network.differences"]
    }

    def __init__(
        self,
        facts: dict[str, Any],
        network: dict[str, Any],
        weights: dict[str, float],
        learning_rate: PositiveFloat,
        label: Literal["angle", "angle_averaged"] = "angle_averaged",
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.25,
        mirror: Fraction = 0.5,
        brightness: Fraction = 0.3,
        shadow: Fraction = 0.5,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.scaling = TargetScaling(weights, label, facts)
        self.outputs = self.scaling.outputs
        self.network = networks.build(network, facts["prepare"], len(self.outputs))
        self.validation_metrics.update({"loss": MeanMetric(), "rmse": RootMean(), "rmse_averaged": RootMean()})

    def forward(self, frames: Tensor) -> Tensor:
        """Return normalized outputs (B, windows, positions, outputs).

        `frames` are uint8 (B, length, height, width, 3).
        """
        outputs: Tensor = self.network(scale(frames))
        return outputs

    def on_train_start(self) -> None:
        window = getattr(self.trainer.train_dataloader, "window", self.network.window)
        if window != self.network.window:
            raise UserError(
                f"batches.window is {window}, but the network uses windows of {self.network.window} frames. "
                f"Set batches.window to {self.network.window}."
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        frames, targets, loss_weight = batch
        mirrored = random_choice(len(frames), self.hparams["mirror"], frames.device)
        outputs = self.network(self.augment(frames, mirrored))
        loss = self.loss(outputs, targets, mirrored)
        self.step_metrics = {"loss": loss.detach()}
        return loss * loss_weight

    def augment(self, frames: Tensor, mirrored: Tensor) -> Tensor:
        """Mirror the selected sequences, change the brightness of all sequences, and scale the frames."""
        factors = brightness_factors(frames, self.hparams["brightness"], self.hparams["shadow"])
        return scale(mirror(frames, mirrored), factors)

    def loss(self, outputs: Tensor, targets: Tensor, mirrored: Tensor | None = None) -> Tensor:
        return self.scaling.loss(outputs, self.scaling.normalize(targets, outputs, mirrored))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        frames, targets, loss_weight = batch
        if loss_weight == 0:  # the sequence is only padding, and another rank counts the sequence
            return
        self.update_metrics(self(frames), targets)

    def update_metrics(self, outputs: Tensor, targets: Tensor) -> None:
        """Add the errors at the last frame of each window to the validation metrics."""
        last = outputs[:, :, -1:]
        self.validation_metric("loss").update(self.loss(last, targets), last[..., 0].numel())
        self.validation_metric("rmse").update(self.squared_errors(last, targets, "angle"))
        self.validation_metric("rmse_averaged").update(self.squared_errors(last, targets, "angle_averaged"))

    def squared_errors(self, last: Tensor, targets: Tensor, label: str) -> Tensor:
        """Return the squared error of the angle at the last frame of each window, of shape (B, windows)."""
        true = targets[:, -last.shape[1] :, self.facts["targets"].index(label)]
        return (last[:, :, 0, 0] * self.scaling.deviations[0] - true).square()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return self.create_optimizer([self.parameters()], [self.hparams["learning_rate"]], [0, self.steps])

    @property
    def steps(self) -> int:
        """Return the number of optimizer steps of the training."""
        return int(self.trainer.estimated_stepping_batches)

    def create_optimizer(
        self, groups: list[Iterable[nn.Parameter]], rates: list[float], bounds: list[int]
    ) -> OptimizerLRScheduler:
        """Create AdamW with a separate one-cycle schedule for each parameter group.

        Group i is trained from step `bounds[i]` to `bounds[i + 1]` with the peak learning rate `rates[i]`.
        """
        options = [{"params": list(group), "lr": rate} for group, rate in zip(groups, rates, strict=True)]
        optimizer = torch.optim.AdamW(options, weight_decay=self.hparams["weight_decay"], fused=True)
        cycles = [
            one_cycle(first, last, self.hparams["warm_up"], start=0.04)
            for first, last in zip(bounds, bounds[1:], strict=False)
        ]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, cycles), "interval": "step"}}

    def predict(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Predict the last frame of each prepared window, uint8 (n, time, height, width, 3).

        Returns a float32 array (n,) for each output, in the unit of the recording.
        """
        # The import is inside the function, because inference.py imports module.py.
        from lectern.tasks.steering.model.inference import predict_windows

        return predict_windows(self, windows)


def extend_signature(parent: type, **added: Any) -> inspect.Signature:
    """Return the signature of `parent` with additional keyword arguments.

    A subclass that forwards `**options` to its parent needs this signature, so that `check_keys` finds all config keys.
    """
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in added.items()
    ]
    return inspect.Signature([*inspect.signature(parent).parameters.values(), *keywords])


class FeatureSteeringModel(SteeringModel):
    """A model that trains a CNN on single frames for `frame_model_epochs`, and then an LSTM on encoded frames.

    The CNN encodes each recorded frame and each mirrored frame once. The encoded frames are cached in `data/features`.
    The predictions are zero until the training of the LSTM begins, so that no epoch of the CNN becomes the best epoch.
    `validation_frame_model_rmse` is the RMSE of the CNN.
    """

    __signature__ = extend_signature(
        SteeringModel, frame_model_epochs=PositiveInt, frame_model_learning_rate=PositiveFloat
    )
    network: networks.FeaturesLSTM

    def __init__(self, *arguments: Any, frame_model_epochs: int, frame_model_learning_rate: float, **options: Any):
        super().__init__(*arguments, **options)
        self.save_hyperparameters("frame_model_epochs", "frame_model_learning_rate")
        if not isinstance(self.network, networks.FeaturesLSTM):
            raise UserError("module.network: the class of a FeatureSteeringModel's network must be FeaturesLSTM.")
        self.validation_metrics["frame_model_rmse"] = RootMean()
        self.resume_state = {"frame_model_rmse": torch.zeros(())}

    @property
    def is_frame_model_epoch(self) -> bool:
        return self.current_epoch < int(self.hparams["frame_model_epochs"])

    def on_train_start(self) -> None:
        frame_model_epochs, epochs = self.hparams["frame_model_epochs"], self.trainer.max_epochs
        if epochs is not None and frame_model_epochs >= epochs:
            raise UserError(
                f"module.frame_model_epochs is {frame_model_epochs}, but the training has {epochs} epochs. "
                "Choose a smaller number, so that epochs are left for the LSTM."
            )
        super().on_train_start()
        self.switch_inputs()  # if a training resumes within an epoch, on_train_epoch_start is not called

    def on_train_epoch_start(self) -> None:
        self.switch_inputs()

    def switch_inputs(self) -> None:
        """Set the loaders to return single frames for the CNN, or windows of encoded frames for the LSTM."""
        for loader in (self.trainer.train_dataloader, self.trainer.val_dataloaders):
            assert loader is not None
            loader.window = 1 if self.is_frame_model_epoch else self.network.window
            if not self.is_frame_model_epoch and loader.inputs.dtype == torch.uint8:
                loader.inputs = encode_frames(self.network.frame_model.encoder, loader.inputs)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        inputs, targets, loss_weight = batch
        mirrored = random_choice(len(inputs), self.hparams["mirror"], inputs.device)
        if self.is_frame_model_epoch:
            outputs = self.network.frame_model(self.augment(inputs, mirrored))
        else:
            outputs = self.network.forward_encoded(select_mirrored(inputs, mirrored))
        loss = self.loss(outputs, targets, mirrored)
        self.step_metrics = {"loss": loss.detach()}
        # DDP needs a gradient for every parameter in every step.
        # Parameters that are not trained have a learning rate of zero.
        return loss * loss_weight + 0 * sum(parameter.sum() for parameter in self.network.parameters())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        inputs, targets, loss_weight = batch
        if loss_weight == 0:
            return
        if self.is_frame_model_epoch:
            outputs = self.network.frame_model(scale(inputs))
            self.validation_metric("frame_model_rmse").update(self.squared_errors(outputs, targets, "angle"))
            self.update_metrics(torch.zeros_like(outputs), targets)
        else:
            self.update_metrics(self.network.forward_encoded(inputs[:, :, 0]), targets)

    def on_validation_epoch_end(self) -> None:
        metric = self.validation_metric("frame_model_rmse")
        if not self.is_frame_model_epoch:
            metric.update(self.resume_state["frame_model_rmse"].square())
        self.resume_state["frame_model_rmse"] = metric.compute()
        super().on_validation_epoch_end()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        epochs = self.trainer.max_epochs
        assert epochs is not None
        change = self.steps * self.hparams["frame_model_epochs"] // epochs
        groups = [self.network.frame_model.parameters(), self.network.temporal_parameters()]
        rates = [self.hparams["frame_model_learning_rate"], self.hparams["learning_rate"]]
        return self.create_optimizer(groups, rates, [0, change, self.steps])
