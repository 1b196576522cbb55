"""Evaluate the promotion gate: compare a candidate version with its baseline and with the champion."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import GATE_CONFIG, PROCESSED, group_config
from lectern.config import call
from lectern.errors import UserError
from lectern.registry import gate_rules
from lectern.registry.gate_rules import COST_FORMATS, Rule
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.score_unit import read_score_unit
from lectern.registry.scoring import Measurement, measure_model
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import download_model_folder
from lectern.task_modules import task_module

Guards = dict[str, dict[str, Any]]


def evaluate_gate(
    model: RegisteredModel, candidate: ModelVersionRecord, items: pd.DataFrame | None = None
) -> list[Rule]:
    """Return the result of each rule for a candidate on the test data of this checkout.

    The candidate is scored again from its own files, unless its `items` are given. The champion is scored again if its
    recorded items belong to other test data. The baseline is the recorded one, because computing it can take long.
    Raises UserError if the candidate was scored on other test data.
    """
    config, unit = read_gate_config(), read_score_unit(model.name)
    processed = PROCESSED / model.name
    check_test_data(candidate, processed)
    measured = measure_model(download_model_folder(model.client, candidate), processed, items)
    rules = [
        gate_rules.above_baseline(measured.score, candidate.baseline, candidate.direction, unit),
        gate_rules.reproduces_score(candidate.score, measured.score, **config["reproduce"], unit=unit),
    ]
    champion = model.readable_champion
    if champion is not None:
        rules += compare_with_champion(model.client, candidate, measured, champion, config)
    elif model.champion_number is not None:
        rules.append(missing_comparison(model))
    return rules


def compare_with_champion(
    client: MlflowClient,
    candidate: ModelVersionRecord,
    measured: Measurement,
    champion: ModelVersionRecord,
    config: dict[str, Any],
) -> Iterator[Rule]:
    """Yield the rules that compare a candidate with the champion on the same test items."""
    processed, unit = PROCESSED / candidate.name, read_score_unit(candidate.name)
    items = recorded_items(client, champion, processed)
    old = measure_model(download_model_folder(client, champion), processed, items)
    score = task_module(candidate.task, "report.evaluate").score
    yield gate_rules.better_than_noise(measured.items, old.items, score, candidate.direction, unit, **config["noise"])
    guards = config["guards"] | dataset_guards(candidate.name)
    yield from guard_costs({name: guard for name, guard in guards.items() if name in COST_FORMATS}, measured, old)
    metrics = {name: guard for name, guard in guards.items() if name not in COST_FORMATS}
    yield from guard_metrics(client, metrics, candidate, champion)


def missing_comparison(model: RegisteredModel) -> Rule:
    """State that the champion was registered by an older version of Lectern and cannot be scored."""
    reason = f"champion version {model.champion_number} was registered by an older version of Lectern; not compared"
    return Rule("comparison with the champion", True, reason)


def preview_gate(model: RegisteredModel, version: ModelVersionRecord, items: pd.DataFrame) -> str:
    """Describe in a few words whether a version that was just evaluated would pass the gate."""
    if version.number == model.champion_number:
        return "it is the champion"
    failed = [rule.name for rule in evaluate_gate(model, version, items) if not rule.passed]
    return f"it would fail the gate ({'; '.join(failed)})" if failed else "it would pass the gate"


def rescore_version(client: MlflowClient, version: ModelVersionRecord) -> tuple[float, bool]:
    """Score a version again from its files; return the score and whether it equals the recorded one.

    Raises UserError if the version was scored on other test data.
    """
    processed = PROCESSED / version.name
    check_test_data(version, processed)
    measured = measure_model(download_model_folder(client, version), processed).score
    tolerance = read_gate_config()["reproduce"]["tolerance"]
    rule = gate_rules.reproduces_score(version.score, measured, tolerance, read_score_unit(version.name))
    return measured, rule.passed


def read_gate_config() -> dict[str, Any]:
    return read_mapping(GATE_CONFIG)


def dataset_guards(name: str) -> Guards:
    """Return the guards of the dataset's config. They add to those of `conf/gate.yaml` or replace them."""
    path = group_config("dataset", name)
    return read_mapping(path).get("guards", {}) if path.is_file() else {}


def guard_costs(guards: Guards, candidate: Measurement, champion: Measurement) -> Iterator[Rule]:
    """Compare costs that were just measured on this machine."""
    for name, guard in guards.items():
        costs = getattr(candidate, name), getattr(champion, name)
        yield call(gate_rules.cost_within_factor, guard, f"guards, {name}", name, *costs)


def guard_metrics(
    client: MlflowClient, guards: Guards, candidate: ModelVersionRecord, champion: ModelVersionRecord
) -> Iterator[Rule]:
    """Compare metrics of the evaluation. Raises UserError for a guard on a metric that does not exist."""
    if not guards:
        return
    values, champion_values = (read_or_measure_metrics(client, version) for version in (candidate, champion))
    for name, guard in guards.items():
        where = f"conf/dataset/{candidate.name}.yaml, guards, {name}"
        if name not in values or name not in champion_values:
            raise UserError(f"{where}: the evaluation has no such metric. It has: {', '.join(sorted(values))}.")
        yield call(gate_rules.metric_within_tolerance, guard, where, name, values[name], champion_values[name])


def read_or_measure_metrics(client: MlflowClient, version: ModelVersionRecord) -> dict[str, float]:
    """Return the recorded metrics; evaluate the version again if they belong to other test data."""
    processed = PROCESSED / version.name
    if version.metrics and has_same_test_data(version, processed):
        return dict(version.metrics)
    from lectern.artifacts.model_folder import load_model

    report = task_module(version.task, "report.evaluate")
    module = load_model(download_model_folder(client, version))
    with tempfile.TemporaryDirectory() as folder:
        metrics = report.evaluate(module, processed, Path(folder))
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}


def recorded_items(client: MlflowClient, version: ModelVersionRecord, processed: Path) -> pd.DataFrame | None:
    """Return the items that the version's run recorded, or None if they are missing or of other test data."""
    if not has_same_test_data(version, processed):
        return None
    try:
        path = download_artifacts(
            run_id=version.run_id, artifact_path="reports/items.parquet", tracking_uri=client.tracking_uri
        )
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(path)


def has_same_test_data(version: ModelVersionRecord, processed: Path) -> bool:
    return bool(version.test_digest == read_facts(processed)["test_digest"])


def check_test_data(version: ModelVersionRecord, processed: Path) -> None:
    """Raise UserError if the version was scored on test data other than that of `processed`."""
    if not has_same_test_data(version, processed):
        digest = read_facts(processed)["test_digest"]
        raise UserError(
            f"{version} was scored on test data {version.test_digest[:12]}, but {processed} has test data "
            f"{digest[:12]}. Check out the commit of its run, run dvc repro preprocess@{version.name} and try again, "
            "or evaluate and register its experiment again on the present data."
        )
