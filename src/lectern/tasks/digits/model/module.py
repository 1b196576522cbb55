"""Batches of images and labels to a trained classifier of digits."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from lectern.config import call, nearest
from lectern.errors import UserError
from lectern.tasks.digits.model import networks
from lectern.tasks.digits.model.augmentation import random_affine
from lectern.training.optimizers import adamw_one_cycle

NETWORKS = ("DigitCNN", "DigitResNet")


class DigitClassifier(pl.LightningModule):
    """One of `networks` under cross-entropy, Adam and a one-cycle schedule (Smith 2018, arXiv:1803.09820).

    `network` is `{class: DigitCNN, ...its arguments}`. `shift` (pixels), `rotate` (degrees) and `scale` (share) are
    the ranges of the random change made to each training image; 0 leaves it as it is.
    """

    def __init__(
        self,
        facts: dict,
        network: dict,
        learning_rate: float,
        weight_decay: float = 0.0,
        warm_up: float = 0.25,
        label_smoothing: float = 0.0,
        shift: float = 0.0,
        rotate: float = 0.0,
        scale: float = 0.0,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.network = build(network).to(memory_format=torch.channels_last)
        initialise(self.network)
        self.validation = nn.ModuleDict({"loss": MeanMetric(), "accuracy": MulticlassAccuracy(10, average="micro")})
        self.resume_state: dict[str, Tensor] = {}
        self.step_metrics: dict[str, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B, 28, 28) to logits (B, 10); scaling here means that no caller can forget it."""
        return self.network(self.scale(images))

    def scale(self, images: Tensor) -> Tensor:
        """uint8 (B, 28, 28) to about zero mean and unit deviation, (B, 1, 28, 28)."""
        return (images.unsqueeze(1).float() / 255 - self.facts["mean"]) / self.facts["deviation"]

    def training_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> Tensor:
        images, labels, loss_weight = batch
        logits = self.network(random_affine(self.scale(images), **self.jitters))
        count = len(labels)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams.label_smoothing, reduction="sum") / count
        self.step_metrics = {"loss": loss.detach(), "accuracy": (logits.argmax(1) == labels).sum() / count}
        return loss * loss_weight

    @property
    def jitters(self) -> dict[str, float]:
        return {key: self.hparams[key] for key in ("shift", "rotate", "scale")}

    def validation_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> None:
        images, labels, loss_weight = batch
        if loss_weight == 0:  # an image that counts elsewhere
            return
        logits = self(images)
        self.validation["loss"].update(F.cross_entropy(logits, labels, reduction="none"))
        self.validation["accuracy"].update(logits, labels)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"validation_{name}": metric.compute() for name, metric in self.validation.items()})
        for metric in self.validation.values():
            metric.reset()

    def configure_optimizers(self):
        return adamw_one_cycle(self)

    @torch.inference_mode()
    def predict(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Prepared images uint8 (n, 28, 28) to probabilities float32 (n, 10), as many at a time as caches hold."""
        parts = torch.as_tensor(images).to(self.device).split(batch_size)
        return torch.cat([self(part).float().softmax(1).cpu() for part in parts] or [torch.empty(0, 10)]).numpy()


def build(network: dict) -> nn.Module:
    """The network that a config names. Raises UserError for a class or an argument that does not exist."""
    arguments = {key: value for key, value in network.items() if key != "class"}
    name = network.get("class")
    if name not in NETWORKS:
        hint = nearest(str(name), list(NETWORKS))
        raise UserError(f"module.network.class is {name!r}{hint} It is one of: {', '.join(NETWORKS)}.")
    return call(getattr(networks, name), arguments, "module.network")


def initialise(network: nn.Module) -> None:
    """He et al. 2015 (arXiv:1502.01852) for what is rectified; the last layer starts at zero: no class is preferred."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layers[-1].weight)
    for layer in layers:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
