"""Trace a registered version back to the sources of its data, and check each link of this lineage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from lectern.artifacts.digests import file_digest
from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import RAW, ExperimentPaths, group_config
from lectern.errors import UserError
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.stage_status import StageStatus, read_stage_status, stage_digest
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.version_runs import find_active_run
from lectern.registry.versions import download_model_folder
from lectern.tracking.git import git
from lectern.tracking.provenance import DIRTY, ROOT, UNKNOWN
from lectern.tracking.restored_run import CONFIG_SOURCE, has_config
from lectern.tracking.run_description import DATASET_DIGEST_LENGTH
from lectern.tracking.runs import COMMIT, TRAINING, WEIGHTS, find_run, is_restored

NOT_IN_GIT = (
    "no commit has a dvc.lock that names the model folder. "
    "Commit dvc.lock or fetch the missing commits, then run lectern reconcile"
)


@dataclass(frozen=True)
class Link:
    """A link in the lineage of a version, such as a raw file, a stage or the MLflow run.

    `broken` is the reason why the check of the link failed, or an empty string if the check did not fail. The addresses
    of the sources are listed but not checked, because the content at an address can change. The downloaded files are
    checked by SHA-256.
    """

    name: str
    value: str
    broken: str = ""
    checked: bool = True
    note: str = ""  # reason why the link was not checked

    @property
    def status(self) -> str:
        not_checked = f"not checked: {self.note}" if self.note else "not checked"
        return self.broken or ("intact" if self.checked else not_checked)


def trace(model: RegisteredModel, version: ModelVersionRecord) -> list[Link]:
    """Return the links in the lineage of a version, from the sources of the data to the version."""
    paths = ExperimentPaths(version.experiment, version.dataset)
    own_run = find_active_run(model.client, version)
    run = find_full_run(model.client, version, own_run)
    status = read_stage_status(paths)
    return [
        *source_links(paths, status),
        processed_link(paths, run, status),
        config_link(run),
        commit_link(run),
        *stage_links(paths, status),
        weights_link(paths, version.weights),
        run_link(version, own_run),
        files_link(model.client, version),
        Link("alias", model.aliases_of(version.number) or "none"),
    ]


def find_full_run(client: MlflowClient, version: ModelVersionRecord, own_run: Run | None) -> Run | None:
    """Return the run of a version.

    If the run was restored and the store also contains the original run of the same weights, return the original run.
    """
    if own_run is None or not is_restored(own_run):
        return own_run
    return find_run(client, version.task, version.weights) or own_run


def source_links(paths: ExperimentPaths, status: StageStatus) -> Iterator[Link]:
    """Yield one link for each address of the raw files, and one link for each raw file with a pinned digest."""
    dataset_config = group_config("dataset", paths.dataset)
    has_config = dataset_config.is_file()
    origin = read_mapping(dataset_config)["origin"] if has_config else paths.dataset
    origin_config = group_config("origin", origin)
    if not origin_config.is_file():
        yield Link("source", origin, f"{origin_config} does not exist")
        return
    config = read_mapping(origin_config)
    for url in config.get("urls", [f"generated on this machine: {config.get('generated')}"]):
        yield Link("source", url, checked=False)
    for name, pinned in config.get("files", {}).items():
        yield Link("source file", f"{name} sha256 {pinned['sha256']}", file_problem(RAW / origin / name, pinned))
    yield compared_link("raw files", str(RAW / origin), status, f"download@{origin}")


def file_problem(path: Path, pinned: Mapping[str, Any]) -> str:
    """Return the reason why a raw file is missing or has a wrong digest, or an empty string if the file is correct."""
    if not path.is_file():
        return f"{path} does not exist; run `dvc repro` or `dvc pull`"
    return "" if file_digest(path) == pinned["sha256"] else f"{path} does not have the pinned SHA-256"


def processed_link(paths: ExperimentPaths, run: Run | None, status: StageStatus) -> Link:
    facts = paths.processed / "facts.json"
    if not facts.is_file():
        return Link("processed data", str(paths.processed), "does not exist; run `dvc repro` or `dvc pull`")
    digest = file_digest(facts)
    inputs = [entry.dataset.digest for entry in run.inputs.dataset_inputs] if run and run.inputs else []
    other = "the run was trained on different data" if inputs and digest[:DATASET_DIGEST_LENGTH] not in inputs else ""
    value = f"{paths.processed} facts {digest}"
    return compared_link("processed data", value, status, f"preprocess@{paths.dataset}", other)


def config_link(run: Run | None) -> Link:
    if run is None:
        return Link("config", "unknown", "the run is missing")
    if not has_config(run):
        return Link("config", "restored from outputs", f"only the arguments of the module are known; {NOT_IN_GIT}")
    tag, word = (CONFIG_SOURCE, "from") if is_restored(run) else (TRAINING, "key")
    if tag not in run.data.tags:
        return Link("config", "unknown", f"the run has no tag {tag}")
    return Link("config", f"{len(run.data.params)} values, {word} {run.data.tags[tag]}")


def commit_link(run: Run | None) -> Link:
    commit = run.data.tags.get(COMMIT, "") if run else ""
    if not commit or commit == UNKNOWN:
        is_lost = run is not None and is_restored(run)
        return Link("git commit", UNKNOWN, f"the run has no commit{f'; {NOT_IN_GIT}' if is_lost else ''}")
    if commit.endswith(DIRTY):
        return Link("git commit", commit, "the training used files with changes that were not committed")
    return Link(
        "git commit", commit, "" if git(ROOT, "cat-file", "-t", commit) == "commit" else "not in this repository"
    )


def stage_links(paths: ExperimentPaths, status: StageStatus) -> Iterator[Link]:
    """Yield one link for each of the experiment's stages train, evaluate and register."""
    for stage in (f"{name}@{paths.experiment}" for name in ("train", "evaluate", "register")):
        digest = None if status.failure else stage_digest(stage)
        missing = status.failure or ("" if digest is not None else "not in dvc.lock; run `dvc repro`")
        yield compared_link(f"dvc {stage}", digest or "-", status, stage, missing)


def compared_link(name: str, value: str, status: StageStatus, stage: str, broken: str = "") -> Link:
    """Return the lineage link of a stage, which is broken if DVC reports changes of the stage.

    If an earlier check of the link failed, `broken` contains the reason for the failure.
    """
    broken, note = broken or status.changes.get(stage, ""), status.refusal or status.failure
    return Link(name, value, broken, checked=bool(broken) or not note, note=note)


def weights_link(paths: ExperimentPaths, weights: str) -> Link:
    path = paths.model / "weights.safetensors"
    if not path.is_file():
        return Link("model folder", str(paths.model), "does not exist; run `dvc repro` or `dvc pull`")
    broken = "" if paths.weights == weights else "trained again since"
    return Link("model folder", f"{paths.model} weights {weights}", broken)


def run_link(version: ModelVersionRecord, run: Run | None) -> Link:
    if run is None:
        return Link("run", version.run_id or "none", "missing from the store; run `lectern reconcile`")
    matches = run.data.tags.get(WEIGHTS) == version.weights
    return Link("run", run.info.run_id, "" if matches else "the run has different weights than the version")


def files_link(client: MlflowClient, version: ModelVersionRecord) -> Link:
    try:
        digest = file_digest(download_model_folder(client, version) / "weights.safetensors")
    except (UserError, OSError) as error:
        return Link("version", str(version), str(error))
    return Link("version", str(version), "" if digest == version.weights else "its files have changed")
