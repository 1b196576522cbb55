"""Define the paths of the files and folders in a checkout, relative to the root of the checkout."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.model_metadata import read_metadata

CHECKOUT = Path(__file__).resolve().parents[3]  # root folder of the checkout that contains the package `lectern`
CONF = Path("conf")
CONFIG = CONF / "config.yaml"
SCHEMAS = CONF / "schema"
GATE_CONFIG = CONF / "gate.yaml"
SERVER_CONFIG = CONF / "serve.yaml"
PIPELINE = Path("dvc.yaml")
PIPELINE_LOCK = Path("dvc.lock")
PARAMS = Path("params.yaml")
PLOTS = Path("plots/dvc.yaml")

RAW = Path("data/raw")
PROCESSED = Path("data/processed")
FEATURES = Path("data/features")  # cache of computed features; the folder can be deleted at any time
MODELS = Path("models")
METRICS = Path("metrics")
REPORTS = Path("reports")
CARDS = Path("cards")

RUNS = Path("runs")  # checkpoints of unfinished trainings
JOBS = RUNS / "jobs"
SWEEPS = RUNS / "sweeps"
DRIVES = RUNS / "drives"
PENDING_RUNS = RUNS / "pending"  # MLflow runs that are not in the tracking store yet
INTENTS = RUNS / "decisions"  # records of promotions and rollbacks that have been started and are not completed
AUDIT_LOGS = Path("registry")


def group_config(group: str, name: str) -> Path:
    """Return the path of a Hydra group's file, such as `conf/model/digits_cnn.yaml`."""
    return CONF / group / f"{name}.yaml"


@dataclass(frozen=True)
class ExperimentPaths:
    """The paths of the files and folders that the stages write for one experiment."""

    experiment: str
    dataset: str

    @property
    def processed(self) -> Path:
        return PROCESSED / self.dataset

    @property
    def model(self) -> Path:
        return MODELS / self.experiment

    @property
    def report(self) -> Path:
        return REPORTS / self.experiment

    @property
    def metrics_file(self) -> Path:
        return METRICS / f"{self.experiment}.json"

    @property
    def evaluation_file(self) -> Path:
        return self.report / "evaluation.json"

    @property
    def card(self) -> Path:
        return CARDS / f"{self.experiment}.md"

    @cached_property
    def task(self) -> str:
        return str(read_metadata(self.model)["task"])

    @cached_property
    def weights(self) -> str:
        """The SHA-256 of the weights file. The digest identifies the model in every store."""
        from lectern.artifacts.digests import file_digest  # imports NumPy, which many commands do not need

        return file_digest(self.model / "weights.safetensors")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of the experiment's metrics file. Raises UserError if the metrics file is missing or damaged."""
        return read_mapping(self.metrics_file, f"Evaluate: dvc repro evaluate@{self.experiment}")

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """What the metrics belong to: the digests of weights, test data and code, and the direction of the score.

        The dictionary is empty if an older version of Lectern wrote the report.
        """
        path = self.evaluation_file
        return read_mapping(path, f"Evaluate: dvc repro evaluate@{self.experiment}") if path.is_file() else {}

    @cached_property
    def results_digest(self) -> str:
        """The digest of the metrics and of what they belong to. The digest identifies an evaluation in every store."""
        from lectern.artifacts.digests import content_digest  # imports NumPy, which many commands do not need

        return content_digest([json.dumps(self.metrics | self.evaluation, sort_keys=True)])

    def is_evaluated(self) -> bool:
        """Return whether both output files of the evaluation exist."""
        return self.metrics_file.is_file() and self.evaluation_file.is_file()

    def is_complete(self) -> bool:
        """Return whether the outputs of all stages from `preprocess` to `register` exist."""
        needed = (self.model / "module.json", self.metrics_file, self.card, self.processed / "facts.json")
        return all(path.is_file() for path in needed)
