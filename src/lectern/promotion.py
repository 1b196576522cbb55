"""A candidate and the champion to a decision, and the decision to the alias `champion`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lectern import gate, registry, trail
from lectern.errors import UserError
from lectern.examination import examine
from lectern.gate import Rule
from lectern.processed import read_facts
from lectern.registry import CHALLENGER, CHAMPION, figure
from lectern.rooms import leg

GATE = Path("conf/gate.yaml")


def judge(
    client: MlflowClient, candidate: ModelVersion, champion: ModelVersion | None, items: pd.DataFrame | None = None
) -> list[Rule]:
    """The gate's rules (`conf/gate.yaml`) on what both versions show on the test data at hand.

    The candidate is scored again from its own files, unless its `items` have just been made; the champion where its
    recorded items are of other test data. Raises UserError where that data is not here.
    """
    rules = yaml.safe_load(GATE.read_text())
    processed = Path("data/processed") / candidate.name
    report = leg(candidate.tags["lectern.task"], "report")
    sign = 1 if candidate.tags["lectern.higher_is_better"] == "True" else -1
    new = examine(registry.model_folder(client, candidate), processed, items)
    answers = [
        gate.above_floor(new.score, report.floor(processed), sign),
        gate.reproduces(figure(candidate, "score"), new.score, **rules["reproduce"]),
    ]
    if champion is None:
        return answers
    old = examine(registry.model_folder(client, champion), processed, recorded_items(client, champion, processed))
    answers.append(gate.better_than_noise(new.items, old.items, report.score, sign, **rules["noise"]))
    for name, guard in rules["guards"].items():
        answers.append(gate.not_much_worse(name, getattr(new, name), getattr(old, name), **guard))
    return answers


def foretell(client: MlflowClient, candidate: ModelVersion, items: pd.DataFrame) -> list[Rule]:
    """What the gate would say now of a version that has just been evaluated; decides nothing."""
    champion = registry.aliases(client, candidate.name).get(CHAMPION)
    if champion in (None, str(candidate.version)):
        return judge(client, candidate, None, items)
    return judge(client, candidate, registry.get_version(client, candidate.name, champion), items)


def recorded_items(client: MlflowClient, version: ModelVersion, processed: Path) -> pd.DataFrame | None:
    """The items that its evaluation left in its run, where they are of the test data at hand."""
    if version.tags["lectern.test_digest"] != read_facts(processed)["test_digest"]:
        return None
    try:
        path = download_artifacts(
            run_id=version.run_id, artifact_path="reports/items.parquet", tracking_uri=client.tracking_uri
        )
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(path)


def promote(
    client: MlflowClient, name: str, which: str | None, force: str | None = None
) -> tuple[ModelVersion, list[Rule]]:
    """Move `champion` to a version that passes the gate; without a number the challenger is asked for.

    `force` is why it is promoted whatever the gate says, and stands in the trail. Where the champion stays, as no
    other version is named or able, no rule was asked. Raises UserError where the gate says no, with its figures, and
    where there is nobody to promote.
    """
    with alone(name):
        known = registry.aliases(client, name)
        old = registry.get_version(client, name, CHAMPION) if CHAMPION in known else None
        candidate = registry.get_version(client, name, which or candidate_of(name, known))
        if old is not None and candidate.version == old.version:
            return old, []
        rules = judge(client, candidate, old)
        if not force and not all(rule.passed for rule in rules):
            told = "\n".join(tell(rules))
            raise UserError(
                f"{name} version {candidate.version} does not pass the gate:\n{told}\n"
                'The champion stays. To promote it all the same: --force "why"'
            )
        why = {"forced": force} if force else {}
        move(client, name, "promote", old, candidate, rules=[asdict(rule) for rule in rules], **why)
        return candidate, rules


def tell(rules: list[Rule]) -> list[str]:
    """A line a rule."""
    return [f"  {'yes' if rule.passed else 'NO '}  {rule.name}: {rule.reason}" for rule in rules]


def candidate_of(name: str, known: dict[str, str]) -> str:
    """The challenger, or the champion itself where nobody challenges it."""
    for alias in (CHALLENGER, CHAMPION):
        if alias in known:
            return known[alias]
    raise UserError(f"{name} has no version above its floor, so there is nobody to promote. Train another.")


def rollback(client: MlflowClient, name: str) -> ModelVersion:
    """Back to the champion before this one, through the same trail; again, and it goes one further back.

    Raises UserError where the trail knows no earlier champion, or this store does not have it.
    """
    with alone(name):
        old = registry.get_version(client, name, CHAMPION)
        earlier = trail.champions(name)[:-1]
        if not earlier:
            raise UserError(f"{name} has no earlier champion in {trail.FOLDER}/{name}.jsonl to go back to.")
        before = trail.find(client, name, earlier[-1])
        if before is None:
            lost = f"version {earlier[-1]['version']} ({earlier[-1]['experiment']})"
            raise UserError(
                f"{name}: the champion before, {lost}, is not in this store. Bring it back: lectern reconcile"
            )
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
