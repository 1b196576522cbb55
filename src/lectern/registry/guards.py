"""Check the guards, which limit the latency, the size and the metrics of a candidate.

A guard limits how much worse than the champion the candidate may be in latency, in size or in a metric.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import PROCESSED, group_config
from lectern.config import call
from lectern.errors import UserError
from lectern.registry.evaluation_data import check_test_data
from lectern.registry.gate_rules import (
    COST_TITLES,
    Rule,
    cost_limit,
    cost_within_factor,
    metric_rule,
    metric_within_tolerance,
    not_checked,
)
from lectern.registry.latency import compare_latencies
from lectern.registry.scoring import Measurement
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import download_model_folder
from lectern.task_modules import task_module

Guards = dict[str, dict[str, Any]]


def dataset_guards(name: str) -> Guards:
    """Return the guards in the config of a dataset. They extend or replace the guards of `conf/gate.yaml`.

    Raises UserError if this checkout does not have the config of the dataset.
    """
    path = group_config("dataset", name)
    if not path.is_file():
        raise UserError(
            f"{path}, which contains the guards, is not in this checkout. Check out a commit that contains the file."
        )
    return dict(read_mapping(path).get("guards", {}))


def guard_latency(guard: dict[str, Any], candidate: Measurement, champion: Measurement) -> Rule:
    """Measure the latencies of the candidate and the champion on this machine, and compare the latencies."""

    def limit(champion_latency: float) -> float:
        return cost_limit(champion_latency, guard["factor"], guard["absolute_slack"])

    guard_cost("latency", guard, 0.0, 0.0)  # raises UserError for an invalid guard before the slow measurement
    times = compare_latencies(candidate.request, champion.request, limit)
    return guard_cost("latency", guard, *times.medians)


def guard_cost(name: str, guard: dict[str, Any], cost: float, champion_cost: float) -> Rule:
    """Compare the latencies or the sizes of the candidate and the champion.

    Raises UserError if the guard has unknown, missing or wrong keys.
    """
    rule: Rule = call(cost_within_factor, guard, f"guards, {name}", name, cost, champion_cost)
    return rule


def metric_guards(guards: Guards) -> Guards:
    return {name: guard for name, guard in guards.items() if name not in COST_TITLES}


def guard_metrics(
    client: MlflowClient, guards: Guards, candidate: ModelVersionRecord, champion: ModelVersionRecord
) -> Iterator[Rule]:
    """Compare the guarded metrics of the candidate and the champion.

    Raises UserError if a guard names a metric that the evaluation does not compute.
    """
    if not guards:
        return
    try:
        values, champion_values = (read_or_measure_metrics(client, it, candidate) for it in (candidate, champion))
    except (UserError, OSError) as error:
        yield from (not_checked(metric_rule(name), str(error)) for name in guards)
        return
    for name, guard in guards.items():
        where = f"conf/dataset/{candidate.name}.yaml, guards, {name}"
        if name not in values or name not in champion_values:
            raise UserError(
                f"{where}: the evaluation has no metric of this name. Available metrics: {', '.join(sorted(values))}."
            )
        yield call(metric_within_tolerance, guard, where, name, values[name], champion_values[name])


def read_or_measure_metrics(
    client: MlflowClient, version: ModelVersionRecord, candidate: ModelVersionRecord
) -> dict[str, float]:
    """Return the metrics of a version on the test data of the candidate.

    If the recorded metrics of the version belong to different test data, the version is evaluated again. Raises
    UserError if this checkout lacks the test data of the candidate.
    """
    if version.metrics and version.test_digest == candidate.test_digest:
        return dict(version.metrics)
    from lectern.artifacts.model_folder import load_model

    processed = PROCESSED / version.name
    check_test_data(candidate, processed)
    report = task_module(version.task, "report.evaluate")
    module = load_model(download_model_folder(client, version))
    with tempfile.TemporaryDirectory() as folder:
        metrics = report.evaluate(module, processed, Path(folder))
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
