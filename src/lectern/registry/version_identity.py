"""Identify the outputs of an experiment and the registered versions, independently of the tracking store."""

from typing import NamedTuple

from lectern.artifacts.digests import content_digest
from lectern.artifacts.model_metadata import read_metadata
from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.packaged_code import code_digest, requirements_digest
from lectern.registry.packaged_extensions import model_classes

LENGTH = 32  # number of characters of each of the two digests in an identity


class OutputIdentity(NamedTuple):
    """The identity of an experiment's outputs: the name of the experiment and digests of its weights and metrics."""

    experiment: str
    weights: str
    metrics: str

    @property
    def digest(self) -> str:
        return content_digest(self)[:LENGTH]


class VersionIdentity(NamedTuple):
    """The values that identify a version in every tracking store. Version numbers differ between stores.

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

    @property
    def digest(self) -> str:
        """The identity as one short text: a digest of the outputs and a digest of the code, joined by a hyphen."""
        return f"{self.outputs.digest}-{content_digest((self.code, self.requirements))[:LENGTH]}"


def output_identity(paths: ExperimentPaths) -> OutputIdentity:
    """Return the identity of an experiment's outputs in this checkout."""
    return OutputIdentity(paths.experiment, paths.weights, paths.results_digest)


def version_identity(paths: ExperimentPaths) -> VersionIdentity:
    """Return the identity that a version of an experiment gets if it is registered from this checkout."""
    classes = model_classes(read_metadata(paths.model))
    code, requirements = code_digest(paths.task, classes), requirements_digest(paths.task, classes)
    return VersionIdentity(*output_identity(paths), code, requirements)
