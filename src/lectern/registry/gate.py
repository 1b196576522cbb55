"""A candidate and the champion to the gate's answers: what `conf/gate.yaml` and the data set's config ask of them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import GATE_CONFIG, PROCESSED, group_config
from lectern.config import call
from lectern.errors import UserError
from lectern.registry import gate_rules, versions
from lectern.registry.gate_rules import Rule
from lectern.registry.scoring import Measurement, compare_items, measure_model
from lectern.registry.scoring_process import RunFunction, run_inline
from lectern.registry.versions import METRIC, numeric_tag
from lectern.task_modules import task_module

GATE = GATE_CONFIG

Guards = dict[str, dict[str, Any]]


def evaluate_gate(
    client: MlflowClient,
    candidate: ModelVersion,
    champion: ModelVersion | None,
    items: pd.DataFrame | None = None,
    ask: RunFunction = run_inline,
) -> list[Rule]:
    """The gate's rules on what both versions show on the test data at hand.

    The candidate is scored again from its own files, unless its `items` have just been made; the champion where its
    recorded items are of other test data. The baseline is the one that its evaluation found on the same test data: to
    find it anew can mean to count every word of the training text. Raises UserError where the candidate's test data is
    not here.
    """
    rules = yaml.safe_load(GATE.read_text())
    processed = PROCESSED / candidate.name
    check_test_data(candidate, processed)
    sign = 1 if candidate.tags["lectern.higher_is_better"] == "True" else -1
    new = ask(measure_model, versions.model_folder(client, candidate), processed, items)
    answers = [
        gate_rules.above_baseline(new.score, numeric_tag(candidate, "baseline"), sign),
        gate_rules.reproduces_score(numeric_tag(candidate, "score"), new.score, **rules["reproduce"]),
    ]
    if champion is None:
        return answers
    recorded = recorded_items(client, champion, processed)
    old = ask(measure_model, versions.model_folder(client, champion), processed, recorded)
    answers.append(ask(compare_items, candidate.tags["lectern.task"], new.items, old.items, sign, rules["noise"]))
    guards = rules["guards"] | dataset_guards(candidate.name)
    costs = {name: guard for name, guard in guards.items() if name in ("latency", "size")}
    metrics = {name: guard for name, guard in guards.items() if name not in costs}
    return [*answers, *guard_costs(costs, new, old), *guard_metrics(client, metrics, candidate, champion, processed)]


def preview_gate(client: MlflowClient, candidate: ModelVersion, items: pd.DataFrame) -> list[Rule]:
    """What the gate would say now of a version that has just been evaluated; decides nothing."""
    champion = versions.find_champion(client, candidate.name)
    if champion is not None and champion.version == candidate.version:
        champion = None
    return evaluate_gate(client, candidate, champion, items)


def rescore_version(client: MlflowClient, version: ModelVersion) -> tuple[float, bool]:
    """The score that a version's own files reach now, and whether the gate takes it for the one on record.

    Raises UserError where the test data that it was scored on is not here.
    """
    processed = PROCESSED / version.name
    check_test_data(version, processed)
    measured, rules = (
        measure_model(versions.model_folder(client, version), processed).score,
        yaml.safe_load(GATE.read_text()),
    )
    return measured, gate_rules.reproduces_score(numeric_tag(version, "score"), measured, **rules["reproduce"]).passed


def dataset_guards(name: str) -> Guards:
    """What the data set's config asks beside, or instead of, what is asked of every model."""
    path = group_config("dataset", name)
    return (yaml.safe_load(path.read_text()) or {}).get("guards", {}) if path.is_file() else {}


def guard_costs(guards: Guards, new: Measurement, old: Measurement) -> Iterator[Rule]:
    """Costs that were measured just now, on this machine, of both."""
    for name, guard in guards.items():
        yield gate_rules.cost_within_factor(name, getattr(new, name), getattr(old, name), **guard)


def guard_metrics(
    client: MlflowClient, guards: Guards, candidate: ModelVersion, champion: ModelVersion, processed: Path
) -> Iterator[Rule]:
    """Metrics of the evaluation. Raises UserError for a metric that it does not give."""
    if not guards:
        return
    now, before = (recorded_metrics(client, version, processed) for version in (candidate, champion))
    for name, guard in guards.items():
        if name not in now or name not in before:
            raise UserError(
                f"conf/dataset/{candidate.name}.yaml guards {name!r}, which the evaluation does not give. "
                f"It gives: {', '.join(sorted(now))}."
            )
        where = f"conf/dataset/{candidate.name}.yaml, guards, {name}"
        yield call(gate_rules.metric_within_tolerance, guard, where, name, now[name], before[name])


def recorded_metrics(client: MlflowClient, version: ModelVersion, processed: Path) -> dict[str, float]:
    """Those that were recorded, where they are of the test data at hand; else evaluated again."""
    recorded = {key.removeprefix(METRIC): value for key, value in version.tags.items() if key.startswith(METRIC)}
    if recorded and same_test_data(version, processed):
        return {name: float(value) for name, value in recorded.items() if is_number(value)}
    from lectern.artifacts import model_folder

    report = task_module(version.tags["lectern.task"], "report.evaluate")
    with tempfile.TemporaryDirectory() as folder:
        return report.evaluate(model_folder.load_model(versions.model_folder(client, version)), processed, Path(folder))


def is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def recorded_items(client: MlflowClient, version: ModelVersion, processed: Path) -> pd.DataFrame | None:
    """The items that its evaluation left in its run, where they are of the test data at hand."""
    if not same_test_data(version, processed):
        return None
    try:
        path = download_artifacts(
            run_id=version.run_id, artifact_path="reports/items.parquet", tracking_uri=client.tracking_uri
        )
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(path)


def same_test_data(version: ModelVersion, processed: Path) -> bool:
    return version.tags["lectern.test_digest"] == read_facts(processed)["test_digest"]


def check_test_data(version: ModelVersion, processed: Path) -> None:
    """Raises UserError where the data at hand is not what the version was scored on."""
    if not same_test_data(version, processed):
        recorded, found = version.tags["lectern.test_digest"], read_facts(processed)["test_digest"]
        raise UserError(
            f"{version.name} version {version.version} was scored on test data {recorded[:12]}, and {processed} holds "
            f"{found[:12]}. Check out the commit of its run, dvc repro preprocess@{version.name}, and ask again; "
            "or evaluate and register its experiment anew on the data at hand."
        )


def format_rules(rules: list[Rule]) -> list[str]:
    """A line a rule."""
    return [f"  {'yes' if rule.passed else 'NO '}  {rule.name}: {rule.reason}" for rule in rules]
