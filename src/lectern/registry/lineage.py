"""A registered version to the chain that made it, from source addresses to its alias, each link checked now."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lectern.artifacts.digests import file_digest
from lectern.artifacts.paths import PIPELINE_LOCK, RAW, ExperimentPaths, group_config
from lectern.errors import UserError
from lectern.registry import versions
from lectern.tracking.provenance import git
from lectern.tracking.runs import RESTORED, TRAINING, WEIGHTS


@dataclass(frozen=True)
class Link:
    """One link: what it is, its value, and a word on why it does not hold, empty where it does.

    An address is told and not asked: it may serve other bytes tomorrow, which is why files are pinned by digest.
    """

    name: str
    value: str
    broken: str = ""
    checked: bool = True

    @property
    def holds(self) -> str:
        return self.broken or ("yes" if self.checked else "not asked")


def trace(client: MlflowClient, version: ModelVersion) -> list[Link]:
    """The links from the served version back to the bytes it learned from, the oldest first."""
    told = {key.removeprefix("lectern."): value for key, value in version.tags.items()}
    paths = ExperimentPaths(told["experiment"], told["dataset"])
    run = find_run(client, version)
    changed = changed_stages(paths)
    return [
        *source_links(paths, changed),
        processed_link(paths, run, changed),
        config_link(run),
        commit_link(run),
        *stage_links(paths, changed),
        weights_link(paths, told["weights"]),
        run_link(version, run, told["weights"]),
        files_link(client, version, told["weights"]),
        alias_link(client, version),
    ]


def source_links(paths: ExperimentPaths, changed: dict[str, str]) -> Iterator[Link]:
    """Where the raw files came from, and whether what lies here is still what was pinned."""
    path = group_config("dataset", paths.dataset)
    origin = yaml.safe_load(path.read_text())["origin"] if path.is_file() else paths.dataset
    conf = group_config("origin", origin)
    if not conf.is_file():
        yield Link("source", origin, f"{conf} is not there")
        return
    described = yaml.safe_load(conf.read_text())
    for url in described.get("urls", [f"made on the machine: {described.get('made')}"]):
        yield Link("source", url, checked=False)
    pinned = described.get("files", {})
    for name, file in pinned.items():
        yield Link("source file", f"{name} sha256 {file['sha256']}", broken_file(RAW / origin / name, file))
    yield Link("raw files", str(RAW / origin), changed.get(f"download@{origin}", ""))


def broken_file(path: Path, pinned: dict) -> str:
    if not path.is_file():
        return f"{path} is not here: dvc repro, or dvc pull"
    return "" if file_digest(path) == pinned["sha256"] else f"{path} is not what was pinned"


def processed_link(paths: ExperimentPaths, run: Run | None, changed: dict[str, str]) -> Link:
    facts = paths.processed / "facts.json"
    if not facts.is_file():
        return Link("processed data", str(paths.processed), "not here: dvc repro, or dvc pull")
    digest = file_digest(facts)
    inputs = [entry.dataset.digest for entry in run.inputs.dataset_inputs] if run and run.inputs else []
    other = "the run learned from other data" if inputs and digest[:32] not in inputs else ""
    broken = other or changed.get(f"preprocess@{paths.dataset}", "")
    return Link("processed data", f"{paths.processed} facts {digest}", broken)


def config_link(run: Run | None) -> Link:
    if run is None:
        return Link("config", "unknown", "its run is gone")
    if run.data.tags.get(RESTORED):
        return Link("config", "restored from the outs", "only the module's own values are known")
    return Link("config", f"{len(run.data.params)} values, key {run.data.tags[TRAINING]}")


def commit_link(run: Run | None) -> Link:
    commit = run.data.tags.get("lectern.commit", "") if run else ""
    if not commit or commit == "unknown":
        return Link("git commit", "unknown", "the run does not tell it")
    if commit.endswith("-dirty"):
        return Link("git commit", commit, "files had been changed and not committed")
    return Link("git commit", commit, "" if git("cat-file", "-t", commit) else "not in this repository")


def stage_links(paths: ExperimentPaths, changed: dict[str, str]) -> Iterator[Link]:
    """The stages of the experiment in dvc.lock."""
    lock = yaml.safe_load(PIPELINE_LOCK.read_text())["stages"] if PIPELINE_LOCK.is_file() else {}
    for stage in (f"{leg}@{paths.experiment}" for leg in ("train", "evaluate", "register")):
        entry = lock.get(stage)
        digest = entry["outs"][0].get("md5", "") if entry else "-"
        yield Link(f"dvc {stage}", digest, changed.get(stage, "") if entry else "not in dvc.lock")


def changed_stages(paths: ExperimentPaths) -> dict[str, str]:
    """Stage to what DVC says has changed, over the experiment's whole pipeline."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        status = Repo().status([f"register@{paths.experiment}"], with_deps=True)
    except DvcException as error:
        return {f"register@{paths.experiment}": str(error)}
    return {stage: "DVC says: " + ", ".join(describe(changes)) for stage, changes in status.items()}


def describe(changes: list) -> Iterator[str]:
    for change in changes:
        yield " ".join(change) if isinstance(change, dict) else str(change)


def weights_link(paths: ExperimentPaths, weights: str) -> Link:
    path = paths.model / "weights.safetensors"
    if not path.is_file():
        return Link("model folder", str(paths.model), "not here: dvc repro, or dvc pull")
    broken = "" if paths.weights == weights else "trained again since"
    return Link("model folder", f"{paths.model} weights {weights}", broken)


def run_link(version: ModelVersion, run: Run | None, weights: str) -> Link:
    if run is None:
        return Link("run", version.run_id or "none", "gone from the store: lectern reconcile")
    same = run.data.tags.get(WEIGHTS) == weights
    return Link("run", run.info.run_id, "" if same else "its weights are others")


def files_link(client: MlflowClient, version: ModelVersion, weights: str) -> Link:
    name = f"{version.name} version {version.version}"
    try:
        found = file_digest(versions.model_folder(client, version) / "weights.safetensors")
    except (UserError, OSError) as error:
        return Link("version", name, str(error))
    return Link("version", name, "" if found == weights else "its files are not what was registered")


def alias_link(client: MlflowClient, version: ModelVersion) -> Link:
    known = versions.aliases(client, version.name)
    names = [alias for alias, number in known.items() if number == str(version.version)]
    return Link("alias", ", ".join(names) or "none")


def find_run(client: MlflowClient, version: ModelVersion) -> Run | None:
    """None too for a run that was deleted, which MLflow still tells of until its rubbish is collected."""
    try:
        run = client.get_run(version.run_id)
    except MlflowException:
        return None
    return run if run.info.lifecycle_stage == "active" else None
