"""A trained model and the raw test data to `metrics/<experiment>.json`, `reports/<experiment>/` and its run."""

from typing import Any

from mlflow import MlflowClient

from lectern import models, pictures, rows
from lectern.config import Dataset
from lectern.outs import Outs
from lectern.processed import read_facts, write_json
from lectern.reconcile import find_or_restore_run
from lectern.rooms import leg
from lectern.tracking import Tracker
from lectern.unfinished import unfinished_folder


def evaluate(outs: Outs, dataset: Dataset) -> dict[str, Any]:
    """Score the model on the test data and write what was found; returns the flat metrics."""
    report = leg(outs.task, "report")
    with unfinished_folder(outs.report) as part:
        found = report.evaluate(models.load(outs.model), outs.processed, part)
        history, shown = rows.read(outs.model)
        getattr(report, "draw_curves", pictures.draw_curves)(history, part / "curves.png")
        if hasattr(report, "write_shown"):
            report.write_shown(shown, part)
    facts = read_facts(outs.processed)
    metrics = {
        **found,
        "floor": report.floor(outs.processed),
        "higher_is_better": dataset.score["higher_is_better"],
        "test_items": facts["items"]["test"],
        "test_digest": facts["test_digest"],
    }
    outs.metrics_file.parent.mkdir(exist_ok=True)
    write_json(outs.metrics_file, metrics)
    return metrics


def track(client: MlflowClient, outs: Outs) -> None:
    """Add test metrics and the report to the run that the model came from."""
    numbers = {f"test_{name}": value for name, value in outs.metrics.items() if type(value) in (int, float)}
    run = Tracker(client, find_or_restore_run(client, outs))
    run.add(numbers, {"lectern.test_digest": outs.metrics["test_digest"]}, outs.report)
