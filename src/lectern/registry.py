"""Experiments' outs to registered versions, and versions back to models. Aliases say which one is served."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lectern.config import nearest
from lectern.errors import UserError
from lectern.outs import Outs
from lectern.rooms import leg

if TYPE_CHECKING:  # seconds of import that most commands have no use for
    from pytorch_lightning import LightningModule

IDENTITY = ("experiment", "weights", "metrics")  # what makes two versions the same in every store
CHAMPION, CHALLENGER = "champion", "challenger"
METRIC = "lectern.metric."
FILES = "pyfunc"  # the folder of a version's files among its run's artifacts
LONGEST = 5000  # of MLflow's descriptions
PACKAGE = Path(__file__).parent
REQUIRED = ("mlflow", "torch", "pytorch-lightning", "torchmetrics", "safetensors", "jaxtyping", "numpy", "pandas")


def register(client: MlflowClient, outs: Outs, run_id: str) -> ModelVersion:
    """A version of the model named after the data set, or the one that holds these very outs already."""
    existing = find_version(client, outs.dataset, outs.told())
    if existing:
        return existing
    upload(client, outs, run_id)
    try:
        client.create_registered_model(outs.dataset, description=f"Models scored on the test data of {outs.dataset}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{FILES}"
    version = client.create_model_version(outs.dataset, source, run_id, tags=tags(outs), description=describe(outs))
    point_challenger(client, outs.dataset, outs.told())
    return version


def upload(client: MlflowClient, outs: Outs, run_id: str) -> None:
    """All that a version carries, to its run's artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        pyfunc = Path(folder) / FILES
        save_pyfunc(outs, pyfunc, copy_code(outs.task, Path(folder) / "code"))
        add_evaluation(outs, pyfunc)
        client.log_artifacts(run_id, str(pyfunc), FILES)


def has_files(client: MlflowClient, version: ModelVersion) -> bool:
    """Whether they are still there: a database outlives a folder that somebody tidied up."""
    return bool(client.list_artifacts(version.run_id, f"{FILES}/artifacts/{version.tags['lectern.experiment']}"))


def find_version(client: MlflowClient, name: str, told: Mapping[str, Any]) -> ModelVersion | None:
    """The version that is the same by content, whatever its number in this store."""
    for version in versions(client, name):
        if all(version.tags.get(f"lectern.{key}") == told[key] for key in IDENTITY):
            return version
    return None


def tags(outs: Outs) -> dict[str, str]:
    """What a version says of itself, every test metric among it; nothing in it differs from store to store."""
    metrics = {f"{METRIC}{name}": str(value) for name, value in outs.metrics.items()}
    return metrics | {f"lectern.{name}": str(value) for name, value in outs.told().items()}


def copy_code(task: str, folder: Path) -> Path:
    """The package as far as a version needs it, the hall and its own room: a server takes each file as a request."""
    package = folder / PACKAGE.name
    for path in (*PACKAGE.glob("*.py"), *(PACKAGE / "serving").glob("*.py"), *(PACKAGE / task).rglob("*.py")):
        copy = package / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return package


def save_pyfunc(outs: Outs, folder: Path, code: Path) -> None:
    """The version's own folder: code, weights, signature, an example, and exactly what must be installed."""
    import mlflow.pyfunc

    room = leg(outs.task, "answer")
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(PACKAGE / "serving" / "pyfunc.py"),
        artifacts={"model": str(outs.model)},
        code_paths=[str(code)],
        signature=room.signature(),
        input_example=room.example(outs.processed),
        pip_requirements=[pin(name) for name in (*REQUIRED, *getattr(room, "REQUIRED", ()))],
    )


def add_evaluation(outs: Outs, folder: Path) -> None:
    """Beside the model: its card, its metrics and its report, so that who has the version has what was found of it."""
    shutil.copytree(outs.report, folder / "report", dirs_exist_ok=True)
    shutil.copy(outs.metrics_file, folder / "report" / "metrics.json")
    if outs.card.is_file():
        shutil.copy(outs.card, folder / "card.md")


def describe(outs: Outs) -> str | None:
    """The card, as far as MLflow's field takes it: a database cuts or refuses what is longer."""
    if not outs.card.is_file():
        return None
    card = outs.card.read_text()
    more = "\n\nThe whole card is `card.md` among the version's files.\n"
    return card if len(card) <= LONGEST else card[: LONGEST - len(more)].rpartition("\n\n")[0] + more


def pin(name: str) -> str:
    """`torch==2.13.0`, without what only the local build calls itself (`+cpu`)."""
    return f"{name}=={installed_version(name).split('+')[0]}"


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
    from lectern import models
    from lectern.tracking import connect

    client = client or connect()
    if CHAMPION not in aliases(client, name):
        raise UserError(f"{name} has no champion yet. Promote one: lectern promote {name}")
    return models.load(model_folder(client, get_version(client, name, CHAMPION)))


def point_challenger(client: MlflowClient, name: str, told: Mapping[str, Any]) -> None:
    """Alias the best version but the champion, above its floor on the test data that `told` names, or nobody."""
    sign = 1 if str(told["higher_is_better"]) == "True" else -1
    champion = aliases(client, name).get(CHAMPION)
    able = [
        version for version in versions(client, name)
        if str(version.version) != champion
        and version.tags.get("lectern.test_digest") == told["test_digest"]
        and sign * (figure(version, "score") - figure(version, "floor")) > 0
    ]  # fmt: skip
    if able:
        best = max(able, key=lambda version: sign * figure(version, "score"))
        client.set_registered_model_alias(name, CHALLENGER, best.version)
    elif CHALLENGER in aliases(client, name):
        client.delete_registered_model_alias(name, CHALLENGER)


def point_champion(client: MlflowClient, name: str, version: ModelVersion) -> None:
    """Alias the version that is served, and then the best of the others."""
    client.set_registered_model_alias(name, CHAMPION, version.version)
    point_challenger(client, name, {key.removeprefix("lectern."): value for key, value in version.tags.items()})


def figure(version: ModelVersion, name: str) -> float:
    """A recorded figure of a version, as a number."""
    return float(version.tags[f"lectern.{name}"])


def who(client: MlflowClient) -> dict[str, Any]:
    """Who decides: the user whom a tracking server has let in, or whom the system names; and the host."""
    import getpass
    import socket

    let_in = os.environ.get("MLFLOW_TRACKING_USERNAME") if client.tracking_uri.startswith("http") else None
    return {"user": let_in or os.environ.get("LECTERN_USER") or getpass.getuser(), "host": socket.gethostname()}
