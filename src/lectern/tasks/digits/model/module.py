"""Train a classifier of digit images."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from lectern.config import Fraction, NonNegativeFloat, PositiveFloat
from lectern.tasks.digits.model import networks
from lectern.tasks.digits.model.augmentation import random_affine, random_stroke_width
from lectern.training.module import TrainableModule
from lectern.training.network_factory import build_network
from lectern.training.optimizers import adamw_one_cycle

NETWORKS = (networks.DigitCNN, networks.DigitResNet)


class DigitClassifier(TrainableModule):
    """A network trained with cross-entropy, AdamW and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` contains the name and the arguments of the network class, for example
    `{class: DigitCNN, dropout: 0.5}`. `shift`, `rotate`, `scale` and `slant` limit the random changes of training
    images, see `random_affine`. `stroke_width` limits the random changes of their strokes, see `random_stroke_width`.
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {"": ["network.class"]}

    def __init__(
        self,
        facts: dict[str, Any],
        network: dict[str, Any],
        learning_rate: PositiveFloat,
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.25,
        label_smoothing: Fraction = 0.0,
        shift: NonNegativeFloat = 0.0,
        rotate: NonNegativeFloat = 0.0,
        scale: Fraction = 0.0,
        slant: Fraction = 0.0,
        stroke_width: Fraction = 0.0,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.network = convert_conv2d_weight_memory_format(build_network(network, NETWORKS), torch.channels_last)
        initialize_weights(self.network)
        self.validation_metrics["loss"] = MeanMetric()
        self.validation_metrics["accuracy"] = MulticlassAccuracy(10, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, 10) of raw uint8 images (B, 28, 28)."""
        logits: Tensor = self.network(self.normalize(images))
        return logits

    def normalize(self, images: Tensor) -> Tensor:
        """Scale uint8 images (B, 28, 28) to float32 (B, 1, 28, 28) with mean near 0 and standard deviation near 1."""
        normalized: Tensor = (images.unsqueeze(1).float() / 255 - self.facts["mean"]) / self.facts["deviation"]
        return normalized

    def training_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> Tensor:
        images, labels, loss_weight = batch
        logits = self.network(self.augment(self.normalize(images)))
        smoothing = self.hparams["label_smoothing"]
        count = len(labels)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum") / count
        self.step_metrics = {"loss": loss.detach(), "accuracy": (logits.argmax(1) == labels).sum() / count}
        return loss * loss_weight

    def augment(self, images: Tensor) -> Tensor:
        """Change normalized training images (B, 1, 28, 28) randomly, within the ranges in the hyperparameters."""
        ranges = {key: self.hparams[key] for key in ("shift", "rotate", "scale", "slant")}
        return random_stroke_width(random_affine(images, **ranges), self.hparams["stroke_width"])

    def validation_step(self, batch: tuple[Tensor, Tensor, float], batch_idx: int) -> None:
        images, labels, loss_weight = batch
        if loss_weight == 0:  # the image is only padding, and another rank counts the image
            return
        logits = self(images)
        self.validation_metric("loss").update(F.cross_entropy(logits, labels, reduction="none"))
        self.validation_metric("accuracy").update(logits, labels)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adamw_one_cycle(self)

    @torch.inference_mode()
    def predict(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Return the probabilities, float32 (n, 10), of uint8 images (n, 28, 28).

        Batches of 100 images are used, because they fit into the caches of the processor.
        """
        batches = torch.split(torch.as_tensor(images).to(self.device), batch_size)
        probabilities = [self(batch).float().softmax(1).cpu() for batch in batches]
        return torch.cat(probabilities or [torch.empty(0, 10)]).numpy()


def initialize_weights(network: nn.Module) -> None:
    """Initialise all layers for ReLU (He et al. 2015, arXiv:1502.01852) and the last layer with zeros.

    The zeros in the last layer give every class the same probability before training.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layers[-1].weight)
    for layer in layers:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
