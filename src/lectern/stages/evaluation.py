"""Evaluate a trained model, write the metrics and the report, and log both to the MLflow run of the training."""

from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern import plotting
from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import ExperimentPaths
from lectern.atomic import atomic_directory, write_json
from lectern.config import Dataset
from lectern.stages.experiments import stage_code_digest
from lectern.task_modules import task_module
from lectern.tracking.restored_run import find_or_restore_run
from lectern.tracking.run_end import store_error
from lectern.tracking.runs import Tracker


def evaluate(paths: ExperimentPaths, dataset: Dataset) -> dict[str, Any]:
    """Score the model on the test data, write the metrics file and the report, and return the metrics.

    The metrics file contains only the numbers that a person compares. `evaluation.json` in the report contains what the
    numbers belong to.
    """
    facts = read_facts(paths.processed)
    report = task_module(paths.task, "report.evaluate")
    with atomic_directory(paths.report) as part:
        scores = report.evaluate(model_folder.load_model(paths.model), paths.processed, part)
        history, text_samples = history_file.read_history(paths.model)
        plotting.draw_curves(history, part / "curves.png")
        plotting.tabulate_curves(history).to_csv(part / "curves.csv", index=False, lineterminator="\n")
        if hasattr(report, "write_text_samples"):
            report.write_text_samples(text_samples, part)
        evaluation = {
            "higher_is_better": dataset.score["higher_is_better"],
            "test_items": facts["items"]["test"],
            "test_digest": facts["test_digest"],
            "weights_digest": paths.weights,
            "code_digest": stage_code_digest("evaluate", paths.task),
        }
        write_json(part / paths.evaluation_file.name, evaluation)
    metrics = {**scores, "baseline": task_module(paths.task, "report.baseline").score_baseline(paths.processed)}
    paths.metrics_file.parent.mkdir(exist_ok=True)
    write_json(paths.metrics_file, metrics)
    return metrics


def log_evaluation(client: MlflowClient, paths: ExperimentPaths) -> None:
    """Log the test metrics and the report to the MLflow run that trained the model."""
    numbers = {f"test_{name}": value for name, value in paths.metrics.items() if type(value) in (int, float)}
    try:
        tracker = Tracker(client, find_or_restore_run(client, paths))
        tracker.log_results(numbers, {"lectern.test_digest": paths.evaluation["test_digest"]}, paths.report)
    except MlflowException as error:
        raise store_error(error, "Run the same command again when the tracking store works.") from error
