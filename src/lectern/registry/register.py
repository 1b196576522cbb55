"""TODO: lectern.registry.register."""

import shutil
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lectern.artifacts.paths import ExperimentPaths
from lectern.registry.versions import FILES, METRIC, find_version, point_challenger
from lectern.task_modules import task_module

LONGEST = 5000  # of MLflow's descriptions


PACKAGE = Path(__file__).parents[1]
# The files of the package that a registered version imports, besides those of its task.
PACKAGED = ("*.py", "artifacts/*.py", "training/*.py", "serving/__init__.py", "serving/pyfunc.py", "tasks/__init__.py")
PACKAGED_OF_TASK = ("__init__.py", "data/__init__.py", "data/format/*.py", "model/*.py", "serving/*.py")


REQUIRED = ("mlflow", "torch", "pytorch-lightning", "torchmetrics", "safetensors", "jaxtyping", "numpy", "pandas")


def register(client: MlflowClient, paths: ExperimentPaths, run_id: str) -> ModelVersion:
    """A version of the model named after the data set, or the one that holds these very paths already."""
    existing = find_version(client, paths.dataset, paths.version_tags())
    if existing:
        return existing
    upload_files(client, paths, run_id)
    try:
        client.create_registered_model(paths.dataset, description=f"Models scored on the test data of {paths.dataset}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{FILES}"
    version = client.create_model_version(
        paths.dataset, source, run_id, tags=version_tags(paths), description=describe_version(paths)
    )
    point_challenger(client, paths.dataset, paths.version_tags())
    return version


def upload_files(client: MlflowClient, paths: ExperimentPaths, run_id: str) -> None:
    """All that a version carries, to its run's artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        pyfunc = Path(folder) / FILES
        save_pyfunc(paths, pyfunc, copy_code(paths.task, Path(folder) / "code"))
        add_evaluation(paths, pyfunc)
        client.log_artifacts(run_id, str(pyfunc), FILES)


def version_tags(paths: ExperimentPaths) -> dict[str, str]:
    """What a version says of itself, every test metric among it; nothing in it differs from store to store."""
    metrics = {f"{METRIC}{name}": str(value) for name, value in paths.metrics.items()}
    return metrics | {f"lectern.{name}": str(value) for name, value in paths.version_tags().items()}


def copy_code(task: str, folder: Path) -> Path:
    """Copy the files of the package that a version imports; a tracking server takes one request per file."""
    package = folder / PACKAGE.name
    patterns = (*PACKAGED, *(f"tasks/{task}/{pattern}" for pattern in PACKAGED_OF_TASK))
    for path in (path for pattern in patterns for path in PACKAGE.glob(pattern)):
        copy = package / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return package


def save_pyfunc(paths: ExperimentPaths, folder: Path, code: Path) -> None:
    """The version's own folder: code, weights, signature, an example, and exactly what must be installed."""
    import mlflow.pyfunc

    room = task_module(paths.task, "serving.inference_api")
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(PACKAGE / "serving" / "pyfunc.py"),
        artifacts={"model": str(paths.model)},
        code_paths=[str(code)],
        signature=room.signature(),
        input_example=room.example(paths.processed),
        pip_requirements=[pinned_requirement(name) for name in (*REQUIRED, *getattr(room, "REQUIRED", ()))],
    )


def add_evaluation(paths: ExperimentPaths, folder: Path) -> None:
    """Beside the model: its card, its metrics and its report, so that who has the version has what was found of it."""
    shutil.copytree(paths.report, folder / "report", dirs_exist_ok=True)
    shutil.copy(paths.metrics_file, folder / "report" / "metrics.json")
    if paths.card.is_file():
        shutil.copy(paths.card, folder / "card.md")


def describe_version(paths: ExperimentPaths) -> str | None:
    """The card, as far as MLflow's field takes it: a database cuts or refuses what is longer."""
    if not paths.card.is_file():
        return None
    card = paths.card.read_text()
    more = "\n\nThe whole card is `card.md` among the version's files.\n"
    return card if len(card) <= LONGEST else card[: LONGEST - len(more)].rpartition("\n\n")[0] + more


def pinned_requirement(name: str) -> str:
    """`torch==2.13.0`, without what only the local build calls itself (`+cpu`)."""
    return f"{name}=={installed_version(name).split('+')[0]}"
