"""Register the outputs of an experiment as a version of the model that is named after its dataset."""

import shutil
import tempfile
from importlib.metadata import version as installed_version
from modulefinder import ModuleFinder
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.registered_model import RegisteredModel, find_model
from lectern.registry.version_record import ModelVersionRecord, output_identity, version_tags
from lectern.registry.versions import FILES
from lectern.task_modules import task_module

MAX_DESCRIPTION = 5000  # characters of a description in MLflow's database
PACKAGE = Path(__file__).parents[1]
PYFUNC = PACKAGE / "serving" / "pyfunc.py"
REQUIRED = ("mlflow", "torch", "pytorch-lightning", "torchmetrics", "safetensors", "jaxtyping", "numpy", "pandas")


def register(client: MlflowClient, paths: ExperimentPaths, run_id: str) -> ModelVersionRecord:
    """Return the version of these outputs; create it if it does not exist."""
    identity = output_identity(paths)
    model = find_model(client, paths.dataset)
    existing = model.find(identity) if model else None
    if existing:
        return existing
    tags = version_tags(paths)
    upload_files(client, paths, run_id)
    create_model(client, paths.dataset)
    source = f"{client.get_run(run_id).info.artifact_uri}/{FILES}"
    created = client.create_model_version(paths.dataset, source, run_id, tags=tags, description=description(paths))
    model = RegisteredModel(client, paths.dataset)
    version = model.get(str(created.version))
    model.update_challenger(version)
    return version


def create_model(client: MlflowClient, dataset: str) -> None:
    """Create the registered model of a dataset if it does not exist."""
    try:
        client.create_registered_model(dataset, description=f"Models scored on the test data of {dataset}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def upload_files(client: MlflowClient, paths: ExperimentPaths, run_id: str) -> None:
    """Upload the files of a version to the artifacts of its run."""
    with tempfile.TemporaryDirectory() as folder:
        pyfunc = Path(folder) / FILES
        save_pyfunc(paths, pyfunc, copy_code(paths.task, Path(folder) / "code"))
        add_evaluation(paths, pyfunc)
        client.log_artifacts(run_id, str(pyfunc), FILES)


def copy_code(task: str, folder: Path) -> Path:
    """Copy the files of the package that a version imports. A tracking server needs one request per file."""
    package = folder / PACKAGE.name
    for path in imported_files(task):
        copy = package / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return package


def imported_files(task: str) -> list[Path]:
    """Return the files of the package that the saved model of a task imports, directly or indirectly."""
    finder = ModuleFinder([str(PACKAGE.parent)])
    finder.load_file(str(PYFUNC))
    for module in ("model.module", "serving.inference_api"):  # imported by name, when the model is loaded
        finder.import_hook(f"lectern.tasks.{task}.{module}")
    modules = [module for name, module in finder.modules.items() if name.split(".")[0] == PACKAGE.name]
    return sorted(Path(path) for module in modules if (path := getattr(module, "__file__", None)))


def save_pyfunc(paths: ExperimentPaths, folder: Path, code: Path) -> None:
    """Save an MLflow model: code, weights, signature, input example and exact requirements."""
    import mlflow.pyfunc

    inference_api = task_module(paths.task, "serving.inference_api")
    requirements = (*REQUIRED, *getattr(inference_api, "REQUIRED", ()))
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(PYFUNC),
        artifacts={"model": str(paths.model)},
        code_paths=[str(code)],
        signature=inference_api.signature(),
        input_example=inference_api.example(paths.processed),
        pip_requirements=[pinned_requirement(name) for name in requirements],
    )


def add_evaluation(paths: ExperimentPaths, folder: Path) -> None:
    """Copy the report, the metrics and the model card to the files of the version."""
    shutil.copytree(paths.report, folder / "report", dirs_exist_ok=True)
    shutil.copy(paths.metrics_file, folder / "report" / "metrics.json")
    if paths.card.is_file():
        shutil.copy(paths.card, folder / "card.md")


def description(paths: ExperimentPaths) -> str | None:
    """Return the model card, cut to the length that MLflow's database accepts."""
    if not paths.card.is_file():
        return None
    card = paths.card.read_text()
    if len(card) <= MAX_DESCRIPTION:
        return card
    note = "\n\nThe complete card is `card.md` among the files of this version.\n"
    return card[: MAX_DESCRIPTION - len(note)].rpartition("\n\n")[0] + note


def pinned_requirement(name: str) -> str:
    """Return `torch==2.13.0` for torch, without the label of a local build such as `+cpu`."""
    return f"{name}=={installed_version(name).split('+')[0]}"
