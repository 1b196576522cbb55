"""Create the tags of a registered version, and convert the tags to a typed record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.evaluated_outputs import check_evaluation
from lectern.registry.packaged_code import code_digest, requirements_digest
from lectern.task_modules import task_names
from lectern.tracking.provenance import git_commit

PREFIX = "lectern."
METRIC_PREFIX = "lectern.metric."
DECISION_PREFIX = "lectern.decision."
OUTPUT_TAGS = ("score", "baseline", "higher_is_better", "test_digest")  # copied from the outputs of `evaluate`


def is_finite_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


class OutputIdentity(NamedTuple):
    """The identity of an experiment's outputs: the name of the experiment and digests of its weights and metrics."""

    experiment: str
    weights: str
    metrics: str


class VersionIdentity(NamedTuple):
    """The identity of a version, which does not depend on the tracking store. Version numbers differ between stores.

    Two versions of the same outputs have different identities if the code of the inference API or the required packages
    differ.
    """

    experiment: str
    weights: str
    metrics: str
    code: str
    requirements: str

    @property
    def outputs(self) -> OutputIdentity:
        return OutputIdentity(self.experiment, self.weights, self.metrics)


REQUIRED_TAGS = (*VersionIdentity._fields, "dataset", "task", *OUTPUT_TAGS)

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
    """The information about a version of a registered model, as read from the tracking store."""

    name: str
    number: int
    experiment: str
    dataset: str
    task: str
    weights: str  # sha256 of weights.safetensors
    metrics_digest: str
    code: str  # digest of the version's packaged code, without comments and docstrings
    requirements: str  # digest of the required packages
    test_digest: str
    score: float
    baseline: float
    higher_is_better: bool
    metrics: Mapping[str, float]
    run_id: str
    source: str  # address of the version's files
    card: str  # Markdown
    commit: str = ""  # commit of the registered code, ending in `-dirty` if files had uncommitted changes

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"

    @property
    def identity(self) -> VersionIdentity:
        return VersionIdentity(self.experiment, self.weights, self.metrics_digest, self.code, self.requirements)

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
    identity: VersionIdentity
    reason: str


def output_identity(paths: ExperimentPaths) -> OutputIdentity:
    """Return the identity of an experiment's outputs in this checkout."""
    return OutputIdentity(paths.experiment, paths.weights, paths.results_digest)


def version_identity(paths: ExperimentPaths) -> VersionIdentity:
    """Return the identity that a version of an experiment gets if it is registered from this checkout."""
    return VersionIdentity(*output_identity(paths), code_digest(paths.task), requirements_digest(paths.task))


def version_tags(paths: ExperimentPaths) -> dict[str, str]:
    """Return the tags of a new version. No tag depends on the tracking store.

    Raises UserError if the metrics do not belong to the weights, the test data and the code of this checkout.
    """
    check_evaluation(paths)
    results = paths.metrics | paths.evaluation
    values = version_identity(paths)._asdict() | {name: results[name] for name in OUTPUT_TAGS}
    values |= {"dataset": paths.dataset, "task": paths.task, "commit": git_commit()}
    metrics = {f"{METRIC_PREFIX}{name}": str(value) for name, value in paths.metrics.items()}
    return metrics | {f"{PREFIX}{name}": str(value) for name, value in values.items()}


def read_record(version: ModelVersion) -> ModelVersionRecord | UnreadableVersion:
    """Convert a version of MLflow's registry to a record, or to an UnreadableVersion if a tag is missing or wrong."""
    tags = {key.removeprefix(PREFIX): value for key, value in version.tags.items() if key.startswith(PREFIX)}
    if not set(REQUIRED_TAGS) <= tags.keys():
        return unreadable_version(version, tags, missing_tags_reason(version, tags))
    if problems := find_wrong_tags(tags):
        reason = f"{version.name} version {version.version} has wrong tags: {'; '.join(problems)}. {NOT_USABLE}"
        return unreadable_version(version, tags, reason)
    return ModelVersionRecord(
        name=version.name,
        number=int(version.version),
        experiment=tags["experiment"],
        dataset=tags["dataset"],
        task=tags["task"],
        weights=tags["weights"],
        metrics_digest=tags["metrics"],
        code=tags["code"],
        requirements=tags["requirements"],
        test_digest=tags["test_digest"],
        score=float(tags["score"]),
        baseline=float(tags["baseline"]),
        higher_is_better=tags["higher_is_better"] == "True",
        metrics=read_metrics(version.tags),
        run_id=version.run_id or "",
        source=version.source or "",
        card=version.description or "",
        commit=tags.get("commit", ""),
    )


def find_wrong_tags(tags: Mapping[str, str]) -> list[str]:
    """Return a message for each required tag whose value Lectern cannot have written."""
    problems = []
    for name, (is_valid, expected) in TAG_CHECKS.items():
        if not is_valid(tags[name]):
            problems.append(f"{PREFIX}{name} is {tags[name][:80]!r}; expected {expected}")
    return problems


def missing_tags_reason(version: ModelVersion, tags: Mapping[str, str]) -> str:
    """Return a text that lists the existing tags, the missing tags and what to do."""
    missing = [name for name in REQUIRED_TAGS if name not in tags]
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
    identity = VersionIdentity(*(tags.get(name, "") for name in VersionIdentity._fields))
    return UnreadableVersion(int(version.version), identity, reason)


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
