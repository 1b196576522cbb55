"""A candidate and the champion to a decision, and the decision to the alias `champion`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern import registry, trail
from lectern.errors import UserError
from lectern.registry import CHALLENGER, CHAMPION, figure


@dataclass(frozen=True)
class Rule:
    """One question of the gate and its answer."""

    name: str
    passed: bool
    reason: str


def judge(candidate: ModelVersion, champion: ModelVersion | None) -> list[Rule]:
    """The gate: better than the champion on the same test data, or than the floor where there is no champion."""
    sign = 1 if candidate.tags["lectern.higher_is_better"] == "True" else -1
    score, floor = figure(candidate, "score"), figure(candidate, "floor")
    rules = [Rule("above the floor", sign * (score - floor) > 0, f"score {score:.4f}, floor {floor:.4f}")]
    if champion is not None:
        same = candidate.tags["lectern.test_digest"] == champion.tags["lectern.test_digest"]
        rules.append(
            Rule("same test data", same, "as the champion" if same else "the champion was scored on other test data")
        )
        old = figure(champion, "score")
        rules.append(
            Rule("better than the champion", sign * (score - old) > 0, f"score {score:.4f}, champion {old:.4f}")
        )
    return rules


def promote(client: MlflowClient, name: str, which: str | None) -> tuple[ModelVersion, list[Rule]]:
    """Move `champion` to a version that passes the gate; without a number the challenger is asked for.

    Where the champion stays, as no other version is named or able, no rule was asked. Raises UserError where the
    gate says no, with its figures, and where there is nobody to promote.
    """
    with alone(name):
        known = registry.aliases(client, name)
        old = registry.get_version(client, name, CHAMPION) if CHAMPION in known else None
        candidate = registry.get_version(client, name, which or candidate_of(name, known))
        if old is not None and candidate.version == old.version:
            return old, []
        rules = judge(candidate, old)
        if not all(rule.passed for rule in rules):
            told = "\n".join(f"  {'yes' if rule.passed else 'NO '}  {rule.name}: {rule.reason}" for rule in rules)
            raise UserError(f"{name} version {candidate.version} does not pass the gate:\n{told}")
        move(client, name, "promote", old, candidate, rules=[asdict(rule) for rule in rules])
        return candidate, rules


def candidate_of(name: str, known: dict[str, str]) -> str:
    """The challenger, or the champion itself where nobody challenges it."""
    for alias in (CHALLENGER, CHAMPION):
        if alias in known:
            return known[alias]
    raise UserError(f"{name} has no version above its floor, so there is nobody to promote. Train another.")


def rollback(client: MlflowClient, name: str) -> ModelVersion:
    """Back to the champion before this one, through the same trail. Raises UserError where there was none."""
    with alone(name):
        registry.aliases(client, name)
        decisions = trail.read(name)
        before = trail.find(client, name, decisions[-1]["from"]) if decisions else None
        if before is None:
            raise UserError(f"{name} has no earlier champion in registry/{name}.jsonl to go back to.")
        old = registry.get_version(client, name, CHAMPION)
        move(client, name, "rollback", old, before)
        return before


def move(client: MlflowClient, name: str, action: str, old: ModelVersion | None, new: ModelVersion, **why) -> None:
    """The trail first, then the alias: a crash between leaves a decision that `reconcile` carries out."""
    line = trail.append(name, action, old, new, **why)
    registry.point_champion(client, name, new)
    client.set_model_version_tag(name, new.version, "lectern.decision", json.dumps(line))


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One promotion of a model at a time: MLflow has no compare-and-set for aliases."""
    trail.FOLDER.mkdir(exist_ok=True)
    try:
        with FileLock(trail.FOLDER / f"{name}.lock", timeout=60):
            yield
    except Timeout as error:
        raise UserError(
            f"Another promotion of {name} has been running for a minute. Try again when it has ended."
        ) from error
