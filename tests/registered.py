"""Experiments that were trained in a blink: their paths, as the stages leave them, good enough to be registered."""

from pathlib import Path

import numpy as np
import torch
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.history_file import Record
from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset
from lectern.registry import model_card, versions
from lectern.registry import register as registration
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.tasks.digits.report import evaluate
from lectern.stages import evaluation
from lectern.tracking import restored_run

DATASET = Dataset(**yaml.safe_load((Path(__file__).parents[1] / "conf" / "dataset" / "sample_digits.yaml").read_text()))
NAME = DATASET.name
TAUGHT = {"weak": 60, "better": 300, "best": 1200}  # how many of the training images each is taught
WEAK, BETTER, BEST = "1", "2", "3"  # their versions, once all three are registered


def paths_of(experiment: str) -> ExperimentPaths:
    return ExperimentPaths(experiment, NAME)


def teach(processed: Path, count: int) -> DigitClassifier:
    """The lecture's network with random features, whose last layer is solved for instead of learned."""
    torch.manual_seed(0)
    network = {"class": "DigitCNN", "dropout": 0.5}
    classifier = DigitClassifier(read_facts(processed), network, learning_rate=0.003).eval()
    images, labels = (np.load(processed / f"train_{what}.npy")[:count] for what in ("images", "labels"))
    with torch.inference_mode():
        body = torch.nn.Sequential(*list(classifier.network)[:-1])
        features = body(classifier.scale(torch.from_numpy(images)))
        wanted = 10 * torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 10).float() - 5
        ridge = features.T @ features + 10 * torch.eye(features.shape[1])
        classifier.network[-1].weight.copy_(torch.linalg.solve(ridge, features.T @ wanted).T)
    return classifier


def write_outs(experiment: str, count: int) -> None:
    """What train, evaluate and register leave, but for the store."""
    made = paths_of(experiment)
    model_folder.save_model(teach(made.processed, count), made.model)
    history = [Record(step, 0, name, 1.0 / step) for step in (1, 2) for name in ("train_loss", "validation_loss")]
    history_file.write_history(history, [], made.model)
    evaluation.evaluate(made, DATASET)
    model_card.write_card(made, DATASET)


def without_pictures() -> None:
    """In a child: pictures take most of an evaluation's time."""
    for name in ("draw_confusion", "draw_mistakes", "draw_calibration"):
        setattr(evaluate.plots, name, lambda *_: None)
    evaluation.plotting.draw_curves = lambda *_: None


def write_all() -> None:
    without_pictures()
    for experiment, count in TAUGHT.items():
        write_outs(experiment, count)


def register(client: MlflowClient, *experiments: str) -> list[ModelVersion]:
    made = [paths_of(experiment) for experiment in experiments]
    return [
        registration.register(client, one, restored_run.find_or_restore_run(client, one).info.run_id) for one in made
    ]


def list_experiments() -> None:
    """Write `experiments.yaml` with these experiments."""
    listed = {name: {"dataset": "sample_digits", "task": "digits", "model": "digits_cnn"} for name in TAUGHT}
    Path("experiments.yaml").write_text(yaml.safe_dump({"experiments": listed}, sort_keys=False))


def champion(client: MlflowClient) -> str | None:
    """The experiment that is served."""
    found = versions.find_champion(client, NAME)
    return found and found.tags["lectern.experiment"]


def challenger(client: MlflowClient) -> str | None:
    number = versions.aliases(client, NAME).get("challenger")
    return number and versions.get_version(client, NAME, number).tags["lectern.experiment"]


def decisions() -> bytes:
    """The trail as it lies in this checkout."""
    return Path("registry", f"{NAME}.jsonl").read_bytes()


def images() -> np.ndarray:
    """Test images as whoever asks a version sends them."""
    return np.load(f"data/processed/{NAME}/test_images.npy")[:40]
