"""Decisions on a model to lines of `registry/<name>.jsonl`, appended and never rewritten; and back to aliases."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern import registry

FOLDER = Path("registry")


def append(name: str, action: str, old: ModelVersion | None, new: ModelVersion, **why: Any) -> dict[str, Any]:
    """Add a decision. Versions are told by weights too: their numbers mean nothing in another store."""
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": registry.who(),
        "action": action,
        "from": describe(old),
        "to": describe(new),
        **why,
    }
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / f"{name}.jsonl", "a") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return line


def read(name: str) -> list[dict[str, Any]]:
    """All decisions on a model, the oldest first."""
    path = FOLDER / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def champions(name: str) -> list[dict[str, Any]]:
    """The champions that a rollback can walk back along, the present one last."""
    stack: list[dict[str, Any]] = []
    for decision in read(name):
        if decision["action"] == "rollback":
            stack.pop()
        else:
            stack.append(decision["to"])
    return stack


def describe(version: ModelVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    told = (*registry.IDENTITY, "score", "test_digest")
    return {"version": int(version.version), **{key: version.tags[f"lectern.{key}"] for key in told}}


def find(client: MlflowClient, name: str, described: dict[str, Any] | None) -> ModelVersion | None:
    """The version of this store that a line of the trail means."""
    return registry.find_version(client, name, described) if described else None


def replay(client: MlflowClient, name: str) -> list[str]:
    """Point `champion` where the last decision left it, in a store that has no champion."""
    decisions = read(name)
    if not decisions or registry.CHAMPION in registry.aliases(client, name):
        return []
    version = find(client, name, decisions[-1]["to"])
    if version is None:
        lost = decisions[-1]["to"]
        return [f"{name}: the champion is lost: no outs here are {lost['experiment']} {lost['weights'][:12]}"]
    registry.point_champion(client, name, version)
    return [f"{name}: champion is version {version.version}"]
