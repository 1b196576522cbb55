"""Register the outputs of an experiment as a version of a registered model.

The registered model has the name of the experiment's dataset.
"""

import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException

from lectern.artifacts.model_metadata import read_metadata
from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.logged_model import complete_logged_model, find_or_create_logged_model, link_version
from lectern.registry.packaged_code import copy_code, importable, requirements
from lectern.registry.packaged_extensions import model_classes
from lectern.registry.registered_model import RegisteredModel, find_model
from lectern.registry.version_identity import version_identity
from lectern.registry.version_manifest import write_manifest
from lectern.registry.version_record import ModelVersionRecord, version_tags
from lectern.registry.version_runs import find_version_run, move_aliases_of_lost_versions, restore_deleted_run
from lectern.registry.versions import open_repository
from lectern.task_modules import task_module
from lectern.tracking.artifact_folder import prepare_artifacts
from lectern.tracking.output_files import copy_output

MAX_DESCRIPTION = 5000  # maximum number of characters of a description in MLflow's database


def register(client: MlflowClient, paths: ExperimentPaths, run_id: str) -> ModelVersionRecord:
    """Return the registered version of an experiment's outputs. Create the version if it does not exist.

    If the run and the files of an existing version were deleted permanently, a new version replaces the existing
    version, because MLflow cannot change the run of a version. If the process is killed, the same call completes the
    registration.
    """
    tags, identity = version_tags(paths), version_identity(paths).digest
    model = find_model(client, paths.dataset)
    existing = model.find(identity) if model else None
    if model and existing and find_version_run(client, existing):
        restore_deleted_run(client, existing)
        return complete_registration(model, existing)
    logged = log_model(client, paths, run_id, identity)
    create_model(client, paths.dataset)
    created = client.create_model_version(
        paths.dataset, logged.artifact_location, run_id, tags, None, description(paths), model_id=logged.model_id
    )
    model = RegisteredModel(client, paths.dataset)
    return complete_registration(model, model.get(str(created.version)))


def complete_registration(model: RegisteredModel, version: ModelVersionRecord) -> ModelVersionRecord:
    """Move the aliases after the registration of a version, and link the version with its logged model.

    The alias `challenger` is moved only if the version is the newest version of the model.
    """
    link_version(model.client, version)
    move_aliases_of_lost_versions(model, version)
    if version.number == max(record.number for record in model.versions):
        model.update_challenger(version)
    return version


def create_model(client: MlflowClient, dataset: str) -> None:
    """Create the registered model of a dataset if it does not exist."""
    try:
        client.create_registered_model(dataset, description=f"Models scored on the test data of {dataset}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def log_model(client: MlflowClient, paths: ExperimentPaths, run_id: str, identity: str) -> LoggedModel:
    """Return the logged model of a version, with its files and metrics. Create the logged model if it is missing."""
    run = client.get_run(run_id)
    prepare_artifacts(client, run.info.experiment_id)
    model = find_or_create_logged_model(client, paths, run, identity)
    upload_files(client, paths, model.artifact_location)
    complete_logged_model(client, paths, run, model)
    return model


def upload_files(client: MlflowClient, paths: ExperimentPaths, source: str) -> None:
    """Upload the files of a version to the address `source`."""
    with tempfile.TemporaryDirectory() as folder:
        pyfunc = Path(folder) / "pyfunc"
        save_pyfunc(paths, pyfunc, Path(folder))
        add_evaluation(paths, pyfunc)
        write_manifest(paths, pyfunc)
        open_repository(client, source).log_artifacts(str(pyfunc))


def save_pyfunc(paths: ExperimentPaths, folder: Path, scratch: Path) -> None:
    """Save an MLflow model with code, weights, signature, input example and the exact versions of required packages."""
    import mlflow.pyfunc

    inference_api = task_module(paths.task, "serving.inference_api")
    classes = model_classes(read_metadata(paths.model))
    script, package = copy_code(paths.task, scratch / "code", classes)
    model = copy_output(paths.model, scratch / "model" / paths.experiment)
    with importable(package):
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(script),
            artifacts={"model": str(model)},
            code_paths=[str(package)],
            signature=inference_api.signature(),
            input_example=inference_api.example(paths.processed),
            pip_requirements=requirements(paths.task, classes),
        )
    description = folder / "MLmodel"  # MLmodel contains the temporary path of the weights
    description.write_text(description.read_text().replace(str(model), str(paths.model)))


def add_evaluation(paths: ExperimentPaths, folder: Path) -> None:
    """Copy the report, the metrics and the model card of an experiment to the files of a version."""
    copy_output(paths.report, folder / "report")
    copy_output(paths.metrics_file, folder / "report" / "metrics.json")
    copy_output(paths.card, folder / "card.md")


def description(paths: ExperimentPaths) -> str | None:
    """Return the model card, shortened to the length that MLflow's database accepts."""
    if not paths.card.is_file():
        return None
    card = paths.card.read_text()
    if len(card) <= MAX_DESCRIPTION:
        return card
    note = "\n\nThe complete card is `card.md` among the files of this version.\n"
    return card[: MAX_DESCRIPTION - len(note)].rpartition("\n\n")[0] + note
