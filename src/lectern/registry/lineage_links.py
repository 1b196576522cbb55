"""Define the links in the lineage of a version, and check the links of the data and the stages of an experiment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from lectern.artifacts.digests import file_digest
from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import RAW, ExperimentPaths, group_config
from lectern.registry.stage_status import StageStatus, stage_digest
from lectern.tracking.run_description import DATASET_DIGEST_LENGTH


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


def stage_link(stage: str, status: StageStatus) -> Link:
    digest = None if status.failure else stage_digest(stage)
    missing = status.failure or ("" if digest is not None else "not in dvc.lock; run `dvc repro`")
    return compared_link(f"dvc {stage}", digest or "-", status, stage, missing)


def compared_link(name: str, value: str, status: StageStatus, stage: str, broken: str = "") -> Link:
    """Return the lineage link of a stage, which is broken if DVC reports changes of the stage.

    If an earlier check of the link failed, `broken` contains the reason for the failure.
    """
    broken, note = broken or status.changes.get(stage, ""), status.refusal or status.failure
    return Link(name, value, broken, checked=bool(broken) or not note, note=note)
