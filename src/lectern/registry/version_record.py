"""Create the tags of a registered version, and convert the tags to a typed record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import isfinite

from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.evaluated_outputs import check_evaluation
from lectern.registry.packaged_extensions import Classes
from lectern.registry.version_identity import VersionIdentity, version_identity
from lectern.registry.version_manifest import PREFIX, VersionManifest, manifest_from_tags, read_manifest
from lectern.task_modules import task_names

DECISION_PREFIX = "lectern.decision."
OUTPUT_TAGS = ("score", "baseline", "higher_is_better", "test_digest")  # copied from the outputs of `evaluate`


def is_finite_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


REQUIRED_TAGS = ("experiment", "task", "weights", "identity", *OUTPUT_TAGS)
# the required tags of a version that was registered before versions had a manifest
FORMER_TAGS = (*VersionIdentity._fields, "dataset", "task", *OUTPUT_TAGS)

NAME = re.compile(r"(?!\.)[^/\\\0]+")  # the name of an experiment is part of paths
NOT_USABLE = (
    "Lectern cannot use this version. Delete the version in MLflow, or register an experiment with "
    "`dvc repro register@NAME`."
)
Check = tuple[Callable[[str], object], str]
TAG_CHECKS: dict[str, Check] = {  # maps a tag to a function that checks its value, and to the expected value
    "experiment": (NAME.fullmatch, "the name of an experiment"),
    "task": (lambda value: value in task_names(), f"one of {', '.join(task_names())}"),
    "score": (is_finite_number, "a finite number"),
    "baseline": (is_finite_number, "a finite number"),
    "higher_is_better": (lambda value: value in ("True", "False"), "True or False"),
}


@dataclass(frozen=True)
class ModelVersionRecord:
    """The information about a version of a registered model, as read from the tracking store.

    The properties `manifest`, `dataset`, `code`, `metrics` and `commit` need the manifest, which is read when a
    property is used for the first time. Raises UserError if the manifest is missing.
    """

    name: str
    number: int
    experiment: str
    task: str
    weights: str  # sha256 of weights.safetensors
    identity: str  # the value of VersionIdentity.digest
    test_digest: str
    score: float
    baseline: float
    higher_is_better: bool
    run_id: str
    source: str  # address of the version's files
    card: str  # Markdown
    has_manifest: bool  # False if the version was registered before versions had a manifest
    load_manifest: Callable[[], VersionManifest] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"

    @cached_property
    def manifest(self) -> VersionManifest:
        return self.load_manifest()

    @property
    def dataset(self) -> str:
        return self.manifest.dataset

    @property
    def code(self) -> str:
        """The digest of the version's packaged code, without comments and docstrings."""
        return self.manifest.code

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.manifest.metric_values

    @property
    def extensions(self) -> Classes:
        """The classes of other packages that the model needs."""
        return tuple(self.manifest.extensions)

    @property
    def commit(self) -> str:
        """The commit of the registered code. It ends in `-dirty` if files had uncommitted changes."""
        return self.manifest.commit

    @property
    def outputs(self) -> str:
        """The value of OutputIdentity.digest. Versions of the same outputs can have different code."""
        return self.identity.partition("-")[0]

    @property
    def direction(self) -> int:
        """1 if a higher score is better, -1 if a lower score is better."""
        return 1 if self.higher_is_better else -1

    @property
    def is_above_baseline(self) -> bool:
        return self.direction * (self.score - self.baseline) > 0


@dataclass(frozen=True)
class UnreadableVersion:
    """A registered version that Lectern cannot use, because tags are missing or have wrong values."""

    number: int
    identity: str
    reason: str


def version_tags(paths: ExperimentPaths) -> dict[str, str]:
    """Return the tags of a new version: what lists of versions show or compare. No tag depends on the tracking store.

    Raises UserError if the metrics do not belong to the weights, the test data and the code of this checkout.
    """
    check_evaluation(paths)
    results = paths.metrics | paths.evaluation
    identity = version_identity(paths)
    values = {"experiment": paths.experiment, "task": paths.task, "weights": identity.weights}
    values |= {"identity": identity.digest} | {name: results[name] for name in OUTPUT_TAGS}
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}


def read_record(version: ModelVersion, store: str) -> ModelVersionRecord | UnreadableVersion:
    """Convert a version of MLflow's registry to a record, or to an UnreadableVersion if a tag is missing or wrong.

    `store` is the address of the tracking store, from which the record reads its manifest. The tags of versions that
    were registered before versions had a manifest contain all values of a manifest.
    """
    tags = {key.removeprefix(PREFIX): value for key, value in version.tags.items() if key.startswith(PREFIX)}
    if set(required_tags(tags)) - tags.keys():
        return unreadable_version(version, tags, missing_tags_reason(version, tags))
    if problems := find_wrong_tags(tags):
        reason = f"{version.name} version {version.version} has wrong tags: {'; '.join(problems)}. {NOT_USABLE}"
        return unreadable_version(version, tags, reason)
    return ModelVersionRecord(
        name=version.name,
        number=int(version.version),
        experiment=tags["experiment"],
        task=tags["task"],
        weights=tags["weights"],
        identity=read_identity(tags),
        test_digest=tags["test_digest"],
        score=float(tags["score"]),
        baseline=float(tags["baseline"]),
        higher_is_better=tags["higher_is_better"] == "True",
        run_id=version.run_id or "",
        source=version.source or "",
        card=version.description or "",
        has_manifest=has_manifest(tags),
        load_manifest=manifest_loader(version, store),
    )


def has_manifest(tags: Mapping[str, str]) -> bool:
    """Return whether a version was registered with a manifest, or has no tag of a version without a manifest."""
    return "identity" in tags or not {"code", "metrics", "requirements"} & tags.keys()


def required_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    return REQUIRED_TAGS if has_manifest(tags) else FORMER_TAGS


def read_identity(tags: Mapping[str, str]) -> str:
    """Return the identity in the tags of a version. `tags` has no prefixes."""
    if has_manifest(tags):
        return tags.get("identity", "")
    return VersionIdentity(*(tags.get(name, "") for name in VersionIdentity._fields)).digest


def manifest_loader(version: ModelVersion, store: str) -> Callable[[], VersionManifest]:
    """Return the function that reads the manifest of a version."""
    if f"{PREFIX}identity" not in version.tags:
        return partial(manifest_from_tags, version.tags)
    name, identity = f"{version.name} version {version.version}", version.tags[f"{PREFIX}identity"]
    return partial(read_manifest, name, version.source or "", store, identity)


def find_wrong_tags(tags: Mapping[str, str]) -> list[str]:
    """Return a message for each required tag whose value Lectern cannot have written."""
    problems = []
    for name, (is_valid, expected) in TAG_CHECKS.items():
        if not is_valid(tags[name]):
            problems.append(f"{PREFIX}{name} is {tags[name][:80]!r}; expected {expected}")
    return problems


def missing_tags_reason(version: ModelVersion, tags: Mapping[str, str]) -> str:
    """Return a text that lists the existing tags, the missing tags and what to do."""
    missing = [name for name in required_tags(tags) if name not in tags]
    found = sorted(name for name in tags if "." not in name)
    if not found:
        return f"{version.name} version {version.version} was not registered by Lectern. {NOT_USABLE}"
    experiment = tags.get("experiment")
    command = f"dvc repro register@{experiment}" if experiment else "dvc repro"
    return (
        f"{version.name} version {version.version} was registered by an older version of Lectern. "
        f"Missing tags: {', '.join(missing)}. Existing tags: {', '.join(found)}. "
        f"Train and register the experiment again: {command}"
    )


def unreadable_version(version: ModelVersion, tags: Mapping[str, str], reason: str) -> UnreadableVersion:
    return UnreadableVersion(int(version.version), read_identity(tags), reason)
