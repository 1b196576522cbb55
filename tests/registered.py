"""Write and register the outputs of three small digit classifiers in seconds, without training them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from mlflow import MlflowClient

from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.history_file import Record
from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset
from lectern.registry import audit_log, model_card, promotion
from lectern.registry import register as registration
from lectern.registry.gate_rules import Rule
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.stages import evaluation
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.tasks.digits.report import evaluate
from lectern.tracking import restored_run

DATASET = Dataset(**yaml.safe_load((Path(__file__).parents[1] / "conf" / "dataset" / "sample_digits.yaml").read_text()))
NAME = DATASET.name
TRAINING_IMAGES = {"weak": 10, "better": 200, "best": 1200}  # number of training images of each experiment
WEAK, BETTER, BEST = "1", "2", "3"  # version numbers of the three experiments in a store with all three versions


def paths_of(experiment: str) -> ExperimentPaths:
    return ExperimentPaths(experiment, NAME)


def fit_last_layer(processed: Path, count: int) -> DigitClassifier:
    """Return the lecture's network with random features and a last layer fitted by ridge regression."""
    torch.manual_seed(0)
    network = {"class": "DigitCNN", "dropout": 0.5}
    classifier = DigitClassifier(read_facts(processed), network, learning_rate=0.003).eval()
    images, labels = (np.load(processed / f"train_{array}.npy")[:count] for array in ("images", "labels"))
    with torch.inference_mode():
        body = torch.nn.Sequential(*list(classifier.network)[:-1])
        features = body(classifier.normalize(torch.from_numpy(images)))
        targets = 10 * torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 10).float() - 5
        gram = features.T @ features + 10 * torch.eye(features.shape[1])
        classifier.network[-1].weight.copy_(torch.linalg.solve(gram, features.T @ targets).T)
    return classifier


def write_outputs(experiment: str, count: int) -> None:
    """Write the files that the stages train, evaluate and register write in the checkout."""
    paths = paths_of(experiment)
    model_folder.save_model(fit_last_layer(paths.processed, count), paths.model)
    history = [Record(step, 0, name, 1.0 / step) for step in (1, 2) for name in ("train_loss", "validation_loss")]
    history_file.write_history(history, [], paths.model)
    evaluation.evaluate(paths, DATASET)
    model_card.write_card(paths, DATASET)


def skip_plots() -> None:
    """Draw no plots in this process, because they take most of the time of an evaluation."""
    for name in [name for name in vars(evaluate.plots) if name.startswith("draw_")]:
        setattr(evaluate.plots, name, lambda *_: None)
    evaluation.plotting.draw_curves = lambda *_: None


def write_all_outputs() -> None:
    skip_plots()
    for experiment, count in TRAINING_IMAGES.items():
        write_outputs(experiment, count)


def register(client: MlflowClient, *experiments: str) -> list[ModelVersionRecord]:
    outputs = [paths_of(experiment) for experiment in experiments]
    return [
        registration.register(client, paths, restored_run.find_complete_run(client, paths).info.run_id)
        for paths in outputs
    ]


def write_experiments_file() -> None:
    """Write an `experiments.yaml` that lists the three experiments."""
    experiments = {name: {"dataset": NAME, "task": "digits", "model": "digits_cnn"} for name in TRAINING_IMAGES}
    Path("experiments.yaml").write_text(yaml.safe_dump({"experiments": experiments}, sort_keys=False))


def promote(
    client: MlflowClient, version: str | None = None, force: str | None = None
) -> tuple[ModelVersionRecord, list[Rule]]:
    return promotion.promote(RegisteredModel(client, NAME), version, force)


def rollback(client: MlflowClient, version: str | None = None) -> ModelVersionRecord:
    return promotion.rollback(RegisteredModel(client, NAME), version)


def logged_decisions(client: MlflowClient) -> list[audit_log.Decision]:
    return audit_log.read_decisions(RegisteredModel(client, NAME))


def champion(client: MlflowClient) -> str | None:
    """Return the experiment of the champion."""
    version = RegisteredModel(client, NAME).champion
    return version.experiment if version else None


def challenger(client: MlflowClient) -> str | None:
    """Return the experiment of the challenger."""
    model = RegisteredModel(client, NAME)
    return model.get("challenger").experiment if "challenger" in model.aliases else None


def audit_log_file() -> bytes:
    """Return the content of the audit log file in this checkout."""
    return Path("registry", f"{NAME}.jsonl").read_bytes()


def load_test_images() -> np.ndarray:
    """Return 40 test images."""
    return np.load(f"data/processed/{NAME}/test_images.npy")[:40]


def former_tags(version: ModelVersionRecord) -> dict[str, str]:
    """Return the tags that a version got before versions had a manifest."""
    manifest = version.manifest
    values = {"dataset": manifest.dataset, "commit": manifest.commit, **manifest.identity._asdict()}
    values |= {f"metric.{name}": value for name, value in manifest.metric_values.items()}
    return {f"lectern.{name}": str(value) for name, value in values.items()}


def use_former_tags(client: MlflowClient, version: str) -> None:
    """Give a version the tags of a release in which versions had no manifest."""
    for key, value in former_tags(RegisteredModel(client, NAME).get(version)).items():
        client.set_model_version_tag(NAME, version, key, value)
    client.delete_model_version_tag(NAME, version, "lectern.identity")


def register_with_old_tags(client: MlflowClient, version: str) -> None:
    """Give a version the tags of an older release, in which the baseline had another name."""
    tags: dict[str, Any] = client.get_model_version(NAME, version).tags
    use_former_tags(client, version)
    client.set_model_version_tag(NAME, version, "lectern.floor", tags["lectern.baseline"])
    client.delete_model_version_tag(NAME, version, "lectern.baseline")
