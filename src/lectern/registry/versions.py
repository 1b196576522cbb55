"""Experiments' paths to registered versions, and versions back to models. Aliases say which one is served."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lectern.artifacts.paths import ExperimentPaths
from lectern.config import nearest
from lectern.errors import UserError

if TYPE_CHECKING:  # seconds of import that most commands have no use for
    from pytorch_lightning import LightningModule

IDENTITY = ("experiment", "weights", "metrics")  # what makes two versions the same in every store
CHAMPION, CHALLENGER = "champion", "challenger"
METRIC = "lectern.metric."
FILES = "pyfunc"  # the folder of a version's files among its run's artifacts


def has_files(client: MlflowClient, version: ModelVersion) -> bool:
    """Whether they are still there: a database outlives a folder that somebody tidied up."""
    return bool(client.list_artifacts(version.run_id, f"{FILES}/artifacts/{version.tags['lectern.experiment']}"))


def find_version(client: MlflowClient, name: str, told: Mapping[str, Any]) -> ModelVersion | None:
    """The version that is the same by content, whatever its number in this store."""
    for version in versions(client, name):
        if all(version.tags.get(f"lectern.{key}") == told[key] for key in IDENTITY):
            return version
    return None


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a model, the newest first."""
    found = client.search_model_versions(f"name = '{name}'")
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def names(client: MlflowClient) -> list[str]:
    return sorted(model.name for model in client.search_registered_models(max_results=1000))


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Alias to version number, as words. Raises UserError for a model that is not there."""
    try:
        return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        there = names(client)
        have = f"There is: {', '.join(there)}." if there else "Nothing is registered yet: dvc repro, or make demo."
        raise UserError(f"No model {name!r} is registered{nearest(name, there)} {have}") from error


def get_version(client: MlflowClient, name: str, which: str) -> ModelVersion:
    """A version by its number or alias. Raises UserError that says what there is."""
    known = aliases(client, name)
    for version in versions(client, name):
        if str(version.version) == known.get(which, which):  # some stores give numbers, some words
            return version
    numbers = [str(version.version) for version in reversed(versions(client, name))]
    there = f"Versions: {', '.join(numbers)}; aliases: {', '.join(known) or 'none yet'}."
    raise UserError(f"{name} has no version or alias {which!r}. {there}")


def find_champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """The version that is served, if one is. Raises UserError for a model that is not there."""
    return get_version(client, name, CHAMPION) if CHAMPION in aliases(client, name) else None


def find_named(client: MlflowClient, model: str) -> ModelVersion:
    """`mnist@champion`, `mnist@3`, or `mnist` for its champion."""
    name, _, which = model.partition("@")
    return get_version(client, name, which or CHAMPION)


def model_folder(client: MlflowClient, version: ModelVersion) -> Path:
    """The model folder that a version carries, fetched where the store is elsewhere."""
    from mlflow.artifacts import download_artifacts

    uri = f"{version.source}/artifacts/{version.tags['lectern.experiment']}"
    try:
        return Path(download_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"{version.name} version {version.version}: its files are gone from {uri} ({error}). "
            "Bring them back with `lectern reconcile`, or delete the version."
        ) from error


def load_champion(name: str, client: MlflowClient | None = None) -> "LightningModule":
    """The module of the champion, loaded by this checkout's own code: no pickle, no code from the store."""
    from lectern.artifacts import model_folder as models
    from lectern.tracking.store import connect

    client = client or connect()
    if CHAMPION not in aliases(client, name):
        raise UserError(f"{name} has no champion yet. Promote one: lectern promote {name}")
    return models.load_model(model_folder(client, get_version(client, name, CHAMPION)))


def point_challenger(client: MlflowClient, name: str, told: Mapping[str, Any]) -> None:
    """Alias the best version but the champion, above its baseline on the test data that `told` names, or nobody."""
    sign = 1 if str(told["higher_is_better"]) == "True" else -1
    champion = aliases(client, name).get(CHAMPION)
    able = [
        version for version in versions(client, name)
        if str(version.version) != champion
        and version.tags.get("lectern.test_digest") == told["test_digest"]
        and sign * (numeric_tag(version, "score") - numeric_tag(version, "baseline")) > 0
    ]  # fmt: skip
    if able:
        best = max(able, key=lambda version: sign * numeric_tag(version, "score"))
        client.set_registered_model_alias(name, CHALLENGER, best.version)
    elif CHALLENGER in aliases(client, name):
        client.delete_registered_model_alias(name, CHALLENGER)


def point_champion(client: MlflowClient, name: str, version: ModelVersion) -> None:
    """Alias the version that is served, and then the best of the others."""
    client.set_registered_model_alias(name, CHAMPION, version.version)
    point_challenger(client, name, {key.removeprefix("lectern."): value for key, value in version.tags.items()})


def numeric_tag(version: ModelVersion, name: str) -> float:
    """A recorded figure of a version, as a number."""
    return float(version.tags[f"lectern.{name}"])


def actor(client: MlflowClient) -> dict[str, Any]:
    """Who decides: the user whom a tracking server has let in, or whom the system names; and the host."""
    import getpass
    import socket

    let_in = os.environ.get("MLFLOW_TRACKING_USERNAME") if client.tracking_uri.startswith("http") else None
    return {"user": let_in or os.environ.get("LECTERN_USER") or getpass.getuser(), "host": socket.gethostname()}


def has_version(client: MlflowClient, paths: ExperimentPaths) -> bool:
    return versions.find_version(client, paths.dataset, paths.version_tags()) is not None
