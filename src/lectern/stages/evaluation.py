"""Evaluate a trained model, write the metrics and the report, and log both to the MLflow run of the training."""

from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import RequestException

from lectern import plotting
from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import ExperimentPaths
from lectern.atomic import atomic_directory, write_json
from lectern.config import Dataset
from lectern.errors import print_message
from lectern.stages.experiments import evaluation_code_digest
from lectern.task_modules import task_module
from lectern.tracking.refusals import explain_refusal
from lectern.tracking.restored_run import find_or_restore_run, log_evaluation
from lectern.tracking.store import first_line, short_timeouts, store_address
from lectern.tracking.tracker import Tracker


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
            "code_digest": evaluation_code_digest(paths),
        }
        write_json(part / paths.evaluation_file.name, evaluation)
    metrics = {**scores, "baseline": task_module(paths.task, "report.baseline").score_baseline(paths.processed)}
    paths.metrics_file.parent.mkdir(exist_ok=True)
    write_json(paths.metrics_file, metrics)
    return metrics


def try_to_log_evaluation(client: MlflowClient, paths: ExperimentPaths) -> None:
    """Log the evaluation to the run that trained the model. If the tracking store does not answer, print a message.

    The stage `register` and `lectern reconcile` log an evaluation that is missing.
    """
    try:
        with short_timeouts():
            log_evaluation(Tracker(client, find_or_restore_run(client, paths).info.run_id), paths)
    except (MlflowException, RequestException) as error:  # uploads raise errors of `requests`
        if explain_refusal(error):
            raise
        print_message(
            f"the tracking store {store_address()} stopped answering: {first_line(error)}. The metrics and the report "
            "are written to the checkout. The next stage writes them to the tracking store."
        )
