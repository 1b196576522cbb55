"""What DVC's outs and the trail know, written back to a store that lacks it: runs, versions, decisions."""

import json
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from lectern import registry, rows, trail
from lectern.alone import alone
from lectern.outs import Outs
from lectern.tracking import RESTORED, TRAINING, WEIGHTS, Tracker, experiment_id, find_run


def experiments() -> list[Outs]:
    """The experiments of `dvc.yaml`, by its own list."""
    parts = yaml.safe_load(Path("dvc.yaml").read_text())["vars"]
    listed = next(part["experiments"] for part in parts if "experiments" in part)
    return [Outs(name, item["dataset"]) for name, item in listed.items()]


def is_complete(outs: Outs) -> bool:
    """Whether the stages up to `register` have left their outs."""
    needed = (outs.model / "module.json", outs.metrics_file, outs.card, outs.processed / "facts.json")
    return all(path.is_file() for path in needed)


def reconcile(client: MlflowClient) -> list[str]:
    """Write back whatever the store lacks; returns what was done and what is lost, a line each."""
    done = [line for outs in experiments() if is_complete(outs) for line in restore(client, outs)]
    for name in registry.names(client):
        with alone(client, name):
            done += trail.gather(client, name) + trail.settle(client, name)
    return done + unregistered(client)


def unregistered(client: MlflowClient) -> list[str]:
    """Models of the trail of which no version is left."""
    trails = {path.stem for path in trail.FOLDER.glob("*.jsonl")} - set(registry.names(client))
    return [f"{name}: lost with every version that was decided on; its outs are not here" for name in sorted(trails)]


def restore(client: MlflowClient, outs: Outs) -> list[str]:
    """The run and the version of an experiment's outs, where they are missing."""
    had_run = find_run(client, outs.task, outs.weights) is not None
    had_version = has_version(client, outs)
    run = find_or_restore_run(client, outs)
    if had_run and had_version:
        return restore_files(client, outs)
    version = registry.register(client, outs, run.info.run_id)
    restored = [] if had_run else [f"{outs.experiment}: run with its history; its config, commit and machine are lost"]
    return restored if had_version else [*restored, f"{outs.experiment}: {outs.dataset} version {version.version}"]


def restore_files(client: MlflowClient, outs: Outs) -> list[str]:
    """The files of a version that the store still tells of."""
    version = registry.find_version(client, outs.dataset, outs.told())
    if version is None or registry.has_files(client, version):
        return []
    registry.upload(client, outs, version.run_id)
    return [f"{outs.experiment}: the files of {outs.dataset} version {version.version}"]


def find_or_restore_run(client: MlflowClient, outs: Outs) -> Run:
    """The run that the weights came from, or one made from the outs and tagged `restored`.

    DVC restores a stage from its cache without running it: the store may never have heard of the training.
    """
    return find_run(client, outs.task, outs.weights) or restore_run(client, outs)


def restore_run(client: MlflowClient, outs: Outs) -> Run:
    """A run with the history, hyperparameters and figures that the outs hold."""
    described = json.loads((outs.model / "module.json").read_text())
    tags = {RESTORED: "true", TRAINING: f"restored-{outs.weights}", "lectern.experiment": outs.experiment,
            "lectern.dataset": outs.dataset}  # fmt: skip
    run = client.create_run(experiment_id(client, outs.task), run_name=outs.experiment, tags=tags)
    tracker = Tracker(client, run)
    table, shown = rows.read(outs.model)
    tracker.log([rows.Row(*row) for row in table.itertuples(index=False)], shown)
    plain = {key: value for key, value in described["hyperparameters"].items() if key != "facts"}
    for key, value in plain.items():
        client.log_param(tracker.id, f"model.module.{key}", str(value)[:6000])
    if outs.metrics_file.is_file():
        numbers = {f"test_{key}": value for key, value in outs.metrics.items() if type(value) in (int, float)}
        tracker.add(numbers, {}, outs.report if outs.report.is_dir() else None)
    tracker.add({}, {WEIGHTS: outs.weights})
    client.set_terminated(tracker.id, "FINISHED")
    return client.get_run(tracker.id)


def missing(client: MlflowClient) -> list[str]:
    """Experiments whose outs stand here and of which this store has no version: worth a word to the user."""
    return [outs.experiment for outs in experiments() if is_complete(outs) and not has_version(client, outs)]


def summary(client: MlflowClient, outs: Outs) -> dict[str, Any]:
    """An experiment in a row of a table: what it reached, and the version that it became in this store."""
    row = dict.fromkeys(("experiment", "data_set", "score", "floor", "better", "version", "alias"))
    row |= {"experiment": outs.experiment, "data_set": outs.dataset}
    if is_complete(outs):
        numbers = {name: round(outs.metrics[name], 4) for name in ("score", "floor")}
        row |= {**numbers, "better": "higher" if outs.metrics["higher_is_better"] else "lower"}
        version = registry.find_version(client, outs.dataset, outs.told())
        row |= {"version": version and int(version.version), "alias": version and alias_of(client, version)}
    return row


def alias_of(client: MlflowClient, version: ModelVersion) -> str | None:
    known = registry.aliases(client, version.name)
    return ", ".join(alias for alias, number in known.items() if number == str(version.version)) or None


def has_version(client: MlflowClient, outs: Outs) -> bool:
    return registry.find_version(client, outs.dataset, outs.told()) is not None
