"""Trace a registered version back to the sources of its data, and check each link of this lineage."""

from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import Run

from lectern.artifacts.digests import file_digest
from lectern.artifacts.paths import ExperimentPaths
from lectern.artifacts.pipeline_variables import train_stage
from lectern.errors import UserError
from lectern.registry.lineage_links import Link, processed_link, source_links, stage_link
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.stage_status import StageStatus, read_stage_status
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.version_runs import find_active_run
from lectern.registry.versions import download_model_folder
from lectern.registry.warm_start_lineage import warm_start_links
from lectern.tracking.git import git
from lectern.tracking.provenance import DIRTY, ROOT, UNKNOWN
from lectern.tracking.restored_run import CONFIG_SOURCE, has_config
from lectern.tracking.runs import COMMIT, TRAINING, WEIGHTS, find_run, is_restored

NOT_IN_GIT = (
    "no commit has a dvc.lock that names the model folder. "
    "Commit dvc.lock or fetch the missing commits, then run lectern reconcile"
)


def trace(model: RegisteredModel, version: ModelVersionRecord) -> list[Link]:
    """Return the links in the lineage of a version, from the sources of the data to the version."""
    paths = ExperimentPaths(version.experiment, version.dataset)
    own_run = find_active_run(model.client, version)
    run = find_full_run(model.client, version, own_run)
    status = read_stage_status(paths)
    return [
        *source_links(paths, status),
        processed_link(paths, run, status),
        *warm_start_links(version, status),
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
    """Yield one link for each of the experiment's stages: train or fine_tune, evaluate, and register."""
    for stage in (train_stage(paths.experiment), f"evaluate@{paths.experiment}", f"register@{paths.experiment}"):
        yield stage_link(stage, status)


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
