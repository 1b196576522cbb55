"""Evaluate the promotion gate: compare a candidate version with its baseline and with the champion."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from mlflow import MlflowClient

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import GATE_CONFIG, PROCESSED
from lectern.errors import UserError
from lectern.registry import gate_rules
from lectern.registry.bootstrap import estimate_improvement
from lectern.registry.evaluation_data import check_test_data, recorded_items
from lectern.registry.gate_rules import BETTER, REPRODUCES, Rule, cost_rule, not_checked
from lectern.registry.guards import dataset_guards, guard_cost, guard_latency, guard_metrics, metric_guards
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.score_unit import read_score_unit
from lectern.registry.scoring import Measurement, measure_model, weights_size
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import download_model_folder
from lectern.task_modules import task_module


def evaluate_gate(
    model: RegisteredModel, candidate: ModelVersionRecord, items: pd.DataFrame | None = None
) -> list[Rule]:
    """Return the results of all gate rules for a candidate on the test data of this checkout.

    The candidate is scored again from its own files, unless its results per test item are given as `items`. The
    champion is scored again if its recorded results per item are missing or belong to different test data. The baseline
    is not computed again, because computing a baseline can take long. If this machine lacks data or files that a rule
    needs, the rule fails. Its result then has the status "not checked" and contains the reason.
    """
    config = read_gate_config()
    measured = measure_candidate(model.client, candidate, items)
    rules = list(compare_with_record(candidate, measured, config))
    champion = model.readable_champion
    if champion is not None:
        rules += compare_with_champion(model.client, candidate, measured, champion, config)
    elif model.champion_number is not None:
        rules.append(missing_comparison(model))
    return rules


def measure_candidate(
    client: MlflowClient, candidate: ModelVersionRecord, items: pd.DataFrame | None
) -> Measurement | str:
    """Measure a candidate on the test data of this checkout, or return the reason why it cannot be measured.

    Raises UserError if the files of the candidate cannot be loaded.
    """
    from lectern.artifacts.model_folder import load_model

    module, processed = load_model(download_model_folder(client, candidate)), PROCESSED / candidate.name
    try:
        check_test_data(candidate, processed)
        return measure_model(module, candidate.task, processed, items)
    except (UserError, OSError) as error:
        return str(error)


def measure_champion(client: MlflowClient, champion: ModelVersionRecord) -> Measurement | str:
    """Measure the champion on the test data of this checkout, or return the reason why it cannot be measured."""
    from lectern.artifacts.model_folder import load_model

    processed = PROCESSED / champion.name
    try:
        items = recorded_items(client, champion, processed)
        module = load_model(download_model_folder(client, champion))
        return measure_model(module, champion.task, processed, items)
    except (UserError, OSError) as error:
        return str(error)


def compare_with_record(
    candidate: ModelVersionRecord, measured: Measurement | str, config: dict[str, Any]
) -> Iterator[Rule]:
    """Yield the results of the gate rules that need no champion.

    If the candidate could not be measured, its recorded score is compared with the baseline.
    """
    unit = read_score_unit(candidate.name)
    if isinstance(measured, str):
        yield gate_rules.above_baseline(candidate.score, candidate.baseline, candidate.direction, unit)
        yield not_checked(REPRODUCES, measured)
        return
    yield gate_rules.above_baseline(measured.score, candidate.baseline, candidate.direction, unit)
    yield gate_rules.reproduces_score(candidate.score, measured.score, **config["reproduce"], unit=unit)


def compare_with_champion(
    client: MlflowClient,
    candidate: ModelVersionRecord,
    measured: Measurement | str,
    champion: ModelVersionRecord,
    config: dict[str, Any],
) -> Iterator[Rule]:
    """Yield the results of the gate rules that compare a candidate with the champion."""
    try:
        guards = config["guards"] | dataset_guards(candidate.name)
    except UserError as error:
        guards = config["guards"]
        yield not_checked("guards of the dataset", str(error))
    old = measured if isinstance(measured, str) else measure_champion(client, champion)
    if isinstance(measured, str) or isinstance(old, str):
        yield from (not_checked(name, str(old)) for name in (BETTER, cost_rule("latency")))
    else:
        yield compare_scores(candidate, measured, champion, old, config["noise"])
        if "latency" in guards:
            yield guard_latency(guards["latency"], measured, old)
    if "size" in guards:
        yield compare_sizes(client, guards["size"], candidate, champion)
    yield from guard_metrics(client, metric_guards(guards), candidate, champion)


def compare_scores(
    candidate: ModelVersionRecord,
    measured: Measurement,
    champion: ModelVersionRecord,
    old: Measurement,
    noise: dict[str, Any],
) -> Rule:
    """Compare the scores of a candidate and the champion by a bootstrap over the test items.

    A candidate with the weights of the champion cannot be better. It passes, because it brings newer code or test data.
    """
    if (candidate.experiment, candidate.weights) == (champion.experiment, champion.weights):
        return gate_rules.same_model(champion.number)
    report, direction = task_module(candidate.task, "report.evaluate"), candidate.direction
    improvement = estimate_improvement(measured.items, old.items, report, direction, **noise)
    unit = read_score_unit(candidate.name)
    return gate_rules.better_than_noise(measured.score, old.score, improvement, direction, unit)


def compare_sizes(
    client: MlflowClient, guard: dict[str, Any], candidate: ModelVersionRecord, champion: ModelVersionRecord
) -> Rule:
    """Compare the sizes of the weights of a candidate and the champion.

    If the weights of a version are missing, return a rule with the status "not checked". The reason in this rule names
    the missing files.
    """
    try:
        sizes = [weights_size(download_model_folder(client, version)) for version in (candidate, champion)]
    except (UserError, OSError) as error:
        return not_checked(cost_rule("size"), str(error))
    return guard_cost("size", guard, *sizes)


def missing_comparison(model: RegisteredModel) -> Rule:
    """Return the result for a champion that cannot be scored, because an older version of Lectern registered it."""
    reason = f"champion version {model.champion_number} was registered by an older version of Lectern"
    return not_checked("comparison with the champion", reason, blocks=False)


def preview_gate(model: RegisteredModel, version: ModelVersionRecord, items: pd.DataFrame) -> str:
    """Describe in a few words whether a newly evaluated version would pass the promotion gate."""
    if version.number == model.champion_number:
        return "it is the champion"
    rules = evaluate_gate(model, version, items)
    failed = [rule.name for rule in rules if not rule.passed]
    unchecked = [rule.name for rule in rules if not rule.checked]
    verdict = f"it would fail the gate ({'; '.join(failed)})" if failed else "it would pass the gate"
    return f"{verdict}; not checked on this machine: {'; '.join(unchecked)}" if unchecked else verdict


def rescore_version(client: MlflowClient, version: ModelVersionRecord) -> tuple[float, bool]:
    """Score a version again from its files. Return the new score, and whether it equals the recorded score.

    Raises UserError if this checkout does not have the test data that the version was scored on.
    """
    measured = measure_candidate(client, version, None)
    if isinstance(measured, str):
        raise UserError(measured)
    tolerance = read_gate_config()["reproduce"]["tolerance"]
    rule = gate_rules.reproduces_score(version.score, measured.score, tolerance, read_score_unit(version.name))
    return measured.score, rule.passed


def read_gate_config() -> dict[str, Any]:
    return read_mapping(GATE_CONFIG)
