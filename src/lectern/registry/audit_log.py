"""Decisions on a model, appended and never rewritten: a line each in `registry/<name>.jsonl`, a tag each in the store.

The file outlives the store, the store tells of what was decided in other checkouts; read together, they are the trail.
"""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.registry import versions as registry

FOLDER = AUDIT_LOGS
TAG = "lectern.decision."

Decision = dict[str, Any]


def read_decisions(client: MlflowClient, name: str) -> list[Decision]:
    """All decisions on a model that this checkout or the store knows, the oldest first."""
    return in_order(in_file(name) | in_store(client, name))


def append_decision(
    client: MlflowClient, name: str, action: str, old: ModelVersion | None, new: ModelVersion, **why: Any
) -> Decision:
    """Add a decision. Versions are told by weights too: their numbers mean nothing in another store."""
    line = {
        "when": next_timestamp(read_decisions(client, name)),
        "who": registry.actor(client),
        "action": action,
        "from": describe(old),
        "to": describe(new),
        **why,
    }
    write([line], name)
    tag(client, name, new, line)
    return line


def sync(client: MlflowClient, name: str) -> list[str]:
    """Give the file what only the store knows, and the store what only the file knows; says what was written."""
    filed, stored = in_file(name), in_store(client, name)
    if stored - filed:
        write(in_order(stored - filed), name)
    lacking = [(find_decided_version(client, name, line["to"]), line) for line in in_order(filed - stored)]
    written = [tag(client, name, version, line) for version, line in lacking if version is not None]
    told = [f"{name}: {len(written)} decisions written back to its versions"] if written else []
    lost = {f"{line['to']['experiment']} {line['to']['weights'][:12]}" for version, line in lacking if version is None}
    return told + [f"{name}: {each} is lost: it was decided on, and no outs here are it" for each in sorted(lost)]


def champion_history(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """The champions that a rollback can walk back along, the present one last."""
    stack: list[dict[str, Any]] = []
    for decision in decisions:
        new = decision["to"]
        before = [at for at, one in enumerate(stack[:-1]) if identity(one) == identity(new)]
        if decision["action"] == "rollback" and before:
            stack = stack[: before[-1]]
        stack.append(new)
    return stack


def find_decided_version(client: MlflowClient, name: str, described: dict[str, Any] | None) -> ModelVersion | None:
    """The version of this store that a line of the trail means."""
    return registry.find_version(client, name, described) if described else None


def apply_pending(client: MlflowClient, name: str) -> list[str]:
    """Carry out the last decision where the alias is still what it was before: a new store, or a promotion killed."""
    decisions = read_decisions(client, name)
    champion = registry.find_champion(client, name)
    if not decisions or described(champion) == identity(decisions[-1]["to"]):
        return []
    last = decisions[-1]
    version = find_decided_version(client, name, last["to"])
    if version is None:
        lost = f"{last['to']['experiment']} {last['to']['weights'][:12]}"
        return [f"{name}: the champion is lost: no outs here are {lost}"]
    if described(champion) not in (None, identity(last["from"])):
        return [f"{name}: champion is version {champion.version}, and no decision says so: it was moved by other hands"]
    registry.point_champion(client, name, version)
    return [f"{name}: champion is version {version.version}"]


def describe(version: ModelVersion | None) -> dict[str, Any] | None:
    """A version as a line of the trail tells it."""
    if version is None:
        return None
    told = (*registry.IDENTITY, "score", "test_digest")
    return {"version": int(version.version), **{key: version.tags[f"lectern.{key}"] for key in told}}


def described(version: ModelVersion | None) -> tuple | None:
    return identity(describe(version))


def identity(told: dict[str, Any] | None) -> tuple | None:
    """What makes it the same version in every store."""
    return told and tuple(told[key] for key in registry.IDENTITY)


def in_file(name: str) -> set[str]:
    """The whole lines: one that a full disk cut short was never resume_state out."""
    path = FOLDER / f"{name}.jsonl"
    return {line for line in path.read_text().splitlines() if line.endswith("}")} if path.is_file() else set()


def in_store(client: MlflowClient, name: str) -> set[str]:
    versions = registry.versions(client, name)
    return {value for version in versions for key, value in version.tags.items() if key.startswith(TAG)}


def in_order(lines: set[str]) -> list[Decision]:
    return sorted((json.loads(line) for line in lines), key=lambda line: line["when"])


def write(lines: Iterable[Decision], name: str) -> None:
    """Append to the file, safe from a power cut."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.jsonl"
    torn = path.is_file() and not path.read_bytes().endswith(b"\n")
    with open(path, "a") as file:
        file.write("\n" * torn + "".join(as_text(line) + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def tag(client: MlflowClient, name: str, version: ModelVersion, line: Decision) -> None:
    """A tag of its own for each decision, so that none takes another's place."""
    moment = "".join(sign for sign in line["when"] if sign.isalnum())
    client.set_model_version_tag(name, version.version, TAG + moment, as_text(line))


def as_text(line: Decision) -> str:
    return json.dumps(line, sort_keys=True)


def next_timestamp(decisions: list[Decision]) -> str:
    """Now, and later than every decision known, whatever the clock of the machine that took it said."""
    now = datetime.now(UTC)
    if decisions:
        now = max(now, datetime.fromisoformat(decisions[-1]["when"]) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")
