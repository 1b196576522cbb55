"""An experiment's name to what its stages left: model, metrics, report, card, and the tags that tell of them."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lectern.description import read_description
from lectern.errors import UserError
from lectern.processed import content_digest, file_digest


@dataclass(frozen=True)
class Outs:
    """The files of one experiment, as the stages name them."""

    experiment: str
    dataset: str

    @property
    def processed(self) -> Path:
        return Path("data/processed") / self.dataset

    @property
    def model(self) -> Path:
        return Path("models") / self.experiment

    @property
    def report(self) -> Path:
        return Path("reports") / self.experiment

    @property
    def metrics_file(self) -> Path:
        return Path("metrics") / f"{self.experiment}.json"

    @property
    def card(self) -> Path:
        return Path("cards") / f"{self.experiment}.md"

    @cached_property
    def task(self) -> str:
        return read_description(self.model)["task"]

    @cached_property
    def weights(self) -> str:
        """The sha256 of the weights: what the model is known by in every store."""
        return file_digest(self.model / "weights.safetensors")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The flat metrics. Raises UserError where the experiment was not evaluated."""
        if not self.metrics_file.is_file():
            raise UserError(f"{self.metrics_file} is not there. Evaluate first: dvc repro evaluate@{self.experiment}")
        return json.loads(self.metrics_file.read_text())

    def told(self) -> dict[str, Any]:
        """What a registered version tells of the outs; nothing in it differs from store to store."""
        return {name: self.metrics[name] for name in ("score", "floor", "higher_is_better", "test_digest")} | {
            "experiment": self.experiment,
            "dataset": self.dataset,
            "task": self.task,
            "weights": self.weights,
            "metrics": content_digest([json.dumps(self.metrics, sort_keys=True)]),
        }
