"""Write and read the manifest of a version, which contains the digests and metrics of the version.

The manifest is one JSON file among the files of a version. Lists of versions need only the tags of the versions, and do
not download any manifest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lectern.artifacts.model_metadata import INIT_FROM, read_metadata
from lectern.artifacts.paths import ExperimentPaths
from lectern.atomic import write_json
from lectern.errors import UserError
from lectern.registry.packaged_extensions import model_classes
from lectern.registry.version_identity import VersionIdentity, version_identity
from lectern.tracking.downloads import download
from lectern.tracking.provenance import git_commit

MANIFEST = "manifest.json"
PREFIX = "lectern."
METRIC_PREFIX = "lectern.metric."  # tags of versions that have no manifest


@dataclass(frozen=True)
class VersionManifest:
    """The values of a version that only its users need, not the lists of versions."""

    experiment: str
    dataset: str
    weights: str  # sha256 of weights.safetensors
    metrics: str  # digest of the evaluation
    code: str  # digest of the version's packaged code, without comments and docstrings
    requirements: str  # digest of the required packages
    commit: str  # commit of the registered code, ending in `-dirty` if files had uncommitted changes
    metric_values: Mapping[str, float]
    extensions: Sequence[str] = ()  # classes of other packages that the model needs
    init_from: Mapping[str, Any] | None = None  # record of the model from whose weights the training started

    @property
    def identity(self) -> VersionIdentity:
        return VersionIdentity(self.experiment, self.weights, self.metrics, self.code, self.requirements)


def write_manifest(paths: ExperimentPaths, folder: Path) -> None:
    """Write the manifest of the version that is registered from this checkout. No value depends on the store."""
    metrics = {name: value for name, value in paths.metrics.items() if type(value) in (int, float)}
    identity = version_identity(paths)._asdict()
    metadata = read_metadata(paths.model)
    classes, source = model_classes(metadata), metadata.get(INIT_FROM)
    manifest = VersionManifest(
        dataset=paths.dataset,
        commit=git_commit(),
        metric_values=metrics,
        extensions=classes,
        init_from=source,
        **identity,
    )
    values = asdict(manifest)
    if not source:  # earlier versions of Lectern, which cannot read the key, can still read the manifest
        del values[INIT_FROM]
    write_json(folder / MANIFEST, values)


def read_manifest(version: str, source: str, store: str, identity: str) -> VersionManifest:
    """Return the manifest among the files of a version. `version` is the text for messages, and `source` the address.

    Raises UserError if the manifest is missing or damaged, or if it does not have the identity in the version's tags.
    """
    uri = f"{source}/{MANIFEST}"
    try:
        manifest = VersionManifest(**json.loads(download(uri, store).read_text("utf-8")))
    except UserError as error:
        raise missing_files_error(version, uri, error) from error
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{version}: {uri} is damaged: {error}. Delete the file and restore it with `lectern reconcile`, "
            "or delete the version."
        ) from error
    if manifest.identity.digest != identity:
        raise UserError(
            f"{version}: the digests in {uri} differ from the identity that was registered; somebody changed the file. "
            "Delete the file and restore it with `lectern reconcile`, or delete the version."
        )
    return manifest


def missing_files_error(version: str, uri: str, error: UserError) -> UserError:
    return UserError(
        f"{version}: the files of this version are missing from {uri} ({error}). "
        "Restore the files with `lectern reconcile`, or delete the version."
    )


def manifest_from_tags(tags: Mapping[str, str]) -> VersionManifest:
    """Return the manifest of a version that was registered before versions had a manifest, from the version's tags."""
    names = ("dataset", *VersionIdentity._fields)
    values: dict[str, Any] = {name: tags[f"{PREFIX}{name}"] for name in names}
    commit = tags.get(f"{PREFIX}commit", "")
    return VersionManifest(commit=commit, metric_values=read_metrics(tags), **values)


def read_metrics(tags: Mapping[str, str]) -> dict[str, float]:
    """Return a dict that maps the name of each numeric test metric in the tags to its value."""
    metrics: dict[str, float] = {}
    for key, value in tags.items():
        if key.startswith(METRIC_PREFIX):
            try:
                metrics[key.removeprefix(METRIC_PREFIX)] = float(value)
            except ValueError:
                continue
    return metrics
