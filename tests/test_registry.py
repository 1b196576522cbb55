"""Test registered versions: their content, their predictions, and the errors for unknown names and missing files."""

import ast
import json
import re
import shutil
import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

import numpy as np
import pytest

from children import in_child
from lectern.artifacts.model_folder import load_model
from lectern.errors import UserError
from lectern.registry.packaged_code import code_digest, imported_files
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.versions import download_model_folder, find_version
from lectern.serving.champions import load_champion
from lectern.task_modules import task_names
from registered import NAME, TRAINING_IMAGES, load_test_images, paths_of, promote, register, rollback

PACKAGE = Path(__file__).parents[1] / "src" / "lectern"


def download(client, version) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=client.tracking_uri))


def test_the_three_test_models_differ_clearly_in_quality(written_outputs):
    scores = [
        json.loads((written_outputs / "metrics" / f"{name}.json").read_text())["score"] for name in TRAINING_IMAGES
    ]
    assert 0.3 < scores[0] < scores[1] - 0.05 and scores[1] < scores[2] - 0.03


# The content of a version


def test_a_version_records_its_experiment_and_its_scores(client):
    (version,) = register(client, "better")
    metrics = json.loads(Path("metrics/better.json").read_text())
    paths = paths_of("better")
    test_digest = json.loads(Path("reports/better/evaluation.json").read_text())["test_digest"]
    assert (version.number, version.experiment, version.dataset, version.task) == (1, "better", NAME, "digits")
    assert version.weights == paths.weights and version.test_digest == test_digest
    assert (version.score, version.baseline, version.higher_is_better) == (metrics["score"], metrics["baseline"], True)
    assert version.direction == 1 and version.is_above_baseline
    assert version.metrics["worst_class_recall"] == metrics["worst_class_recall"]
    assert version.card == Path("cards/better.md").read_text()


def test_a_version_does_not_depend_on_the_store_or_the_folder(client, evaluated_project):
    (version,) = register(client, "better")
    stored = client.get_model_version(NAME, str(version.number))
    assert str(evaluated_project) not in json.dumps(stored.tags) + stored.description


def test_a_version_has_signature_example_report_and_model_folder(client):
    import mlflow

    (version,) = register(client, "better")
    folder = download(client, version)
    model = mlflow.models.Model.load(folder)
    assert model.signature.inputs.inputs[0].shape == (-1, 28, 28)
    assert model.signature.outputs.inputs[0].shape == (-1, 10)
    assert np.asarray(model.load_input_example(str(folder))).shape == (2, 28, 28)
    assert {"metrics.json", "items.parquet", "details.json"} <= {path.name for path in (folder / "report").iterdir()}
    assert (folder / "card.md").read_text() == Path("cards/better.md").read_text()
    stored = {path.name: path.read_bytes() for path in (folder / "artifacts" / "better").iterdir()}
    assert stored == {path.name: path.read_bytes() for path in Path("models/better").iterdir()}
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]


def test_a_version_lists_exact_requirements(client):
    (version,) = register(client, "better")
    requirements = (download(client, version) / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in requirements} >= {"torch", "mlflow", "pytorch-lightning", "safetensors"}
    # The requirements contain no `+cpu`, no version range and no path.
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in requirements)


def test_a_version_contains_only_the_code_that_it_imports(client):
    (version,) = register(client, "better")
    (code,) = (download(client, version) / "code").iterdir()
    assert code.name == f"lectern_{version.code[:12]}" and version.code == code_digest("digits")
    files = {str(path.relative_to(code)) for path in code.rglob("*.py")}
    assert {"artifacts/model_folder.py", "tasks/digits/model/module.py"} <= files
    assert files == {str(path.relative_to(PACKAGE)) for path in imported_files("digits")}
    folders = {path.split("/")[0] for path in files if "/" in path}
    assert folders == {"artifacts", "registry", "tasks", "training", "user_files"}
    assert {path.split("/")[1] for path in files if path.startswith("tasks/")} == {"__init__.py", "digits"}
    assert "registry/loaded_model.py" in files and "registry/promotion.py" not in files
    assert not [path for path in files if "page" in path or "preprocess" in path or "report" in path]


def test_the_code_of_a_version_imports_no_other_lectern(client):
    (version,) = register(client, "better")
    folder = download(client, version)
    names = set()
    for path in [folder / "pyfunc.py", *(folder / "code").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom | ast.Import):
                module = getattr(node, "module", None)
                names |= {module} if module else {alias.name for alias in node.names}
    packages = {name.split(".")[0] for name in names if name.startswith("lectern")}
    assert packages == {f"lectern_{version.code[:12]}"}


@pytest.mark.parametrize("task", task_names())
def test_the_code_of_a_version_imports_nothing_that_is_missing(task):
    files = {str(path.relative_to(PACKAGE)) for path in imported_files(task)}
    finder = ModuleFinder([str(PACKAGE.parent)])
    for file in files:
        finder.load_file(str(PACKAGE / file))
    assert not [name for name in finder.badmodules if name.startswith("lectern.") and "*" not in name]


@pytest.mark.slow
def test_registration_prints_no_warning(client):
    ended = in_child(register, client, "better")
    assert ended.code == 0 and "Warning" not in ended.said, ended.said
    assert len(RegisteredModel(client, NAME).versions) == 1


@pytest.mark.slow
def test_a_long_card_is_cut_in_the_store_and_complete_among_the_files(client):
    card = Path("cards/better.md")
    card.write_text("\n\n".join([card.read_text(), *("a paragraph of the card" * 4,) * 100]))
    (version,) = register(client, "better")
    assert len(version.card) <= 5000 and version.card.endswith("`card.md` among the files of this version.\n")
    assert (download(client, version) / "card.md").read_text() == card.read_text()


@pytest.mark.slow
def test_registering_the_same_outputs_again_creates_no_version(client):
    versions = register(client, "better", "better", "best", "better")
    assert [version.number for version in versions] == [1, 1, 2, 1]


# Predictions


@pytest.mark.slow
def test_mlflow_loads_the_champion_with_the_predictions_of_the_module(registered_client, store):
    import mlflow

    promote(registered_client)
    mlflow.set_tracking_uri(store)
    predictions = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(load_test_images())
    expected = load_model(Path("models/best")).predict(load_test_images())
    assert predictions.dtype == np.float32 and np.array_equal(predictions, expected)
    assert np.array_equal(load_champion(NAME, "digits", registered_client).model.predict(load_test_images()), expected)


@pytest.mark.parametrize(
    "inputs", [np.zeros((2, 28, 28), np.float32), np.zeros((2, 27, 28), np.uint8)], ids=["type", "shape"]
)
def test_mlflow_refuses_inputs_that_contradict_the_signature(client, store, inputs):
    import mlflow

    (version,) = register(client, "better")
    mlflow.set_tracking_uri(store)
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        mlflow.pyfunc.load_model(f"models:/{NAME}/{version.number}").predict(inputs)


def test_a_version_loads_without_the_network_and_without_unpickling(client, store, monkeypatch):
    (version,) = register(client, "best")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    ended = in_child(predict_under_audit, f"models:/{NAME}/{version.number}", store)
    assert ended.code == 0 and "audit event" not in ended.said, ended.said


def predict_under_audit(uri: str, store: str) -> None:
    """Predict, and print every network connection and every class that a pickle file names."""
    import mlflow

    def print_event(event: str, arguments: tuple) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "pickle.find_class"):
            print(f"audit event {event}{arguments}")

    sys.addaudithook(print_event)
    mlflow.set_tracking_uri(store)
    assert mlflow.pyfunc.load_model(uri).predict(load_test_images()).shape == (40, 10)


PREDICT = """
import sys
sys.path[:] = [path for path in sys.path if "-packages" in path or not ("lectern" in path or path.endswith("/src"))]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("version")
np.save("predictions.npy", model.predict(np.load("images.npy")))
print([module.__file__ for name, module in sys.modules.items() if name.partition(".")[0].startswith("lectern")])
"""


def predict_in_new_process(python: Path | str, version: Path, folder: Path) -> np.ndarray:
    """Predict with a copy of a version's files in a process that cannot import the checkout."""
    shutil.copytree(version, folder / "version")
    np.save(folder / "images.npy", load_test_images())
    done = subprocess.run([python, "-c", PREDICT], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = ast.literal_eval(done.stdout)
    assert imported and all(Path(path).is_relative_to(folder / "version" / "code") for path in imported)
    return np.load(folder / "predictions.npy")


@pytest.mark.slow
def test_a_version_loads_in_a_new_process_without_the_checkout(client, tmp_path, monkeypatch):
    (version,) = register(client, "best")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    predictions = predict_in_new_process(sys.executable, download(client, version), tmp_path)
    assert np.array_equal(predictions, load_model(Path("models/best")).predict(load_test_images()))


@pytest.mark.index
@pytest.mark.nightly
def test_a_version_predicts_in_an_environment_with_only_its_requirements(client, tmp_path, monkeypatch):
    """PyTorch is installed first, in a separate command, as `make setup` does."""
    (version,) = register(client, "best")
    folder = download(client, version)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = next(line for line in (folder / "requirements.txt").read_text().split() if line.startswith("torch=="))
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "-r", folder / "requirements.txt"], check=True)
    predictions = predict_in_new_process(python, folder, tmp_path)
    assert np.allclose(predictions, load_model(Path("models/best")).predict(load_test_images()), atol=1e-6)


# Errors


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda client: RegisteredModel(client, "sample_digit"), r"did you mean 'sample_digits'\?"),
        (lambda client: RegisteredModel(client, "mnist"), "No model 'mnist' is registered"),
        (
            lambda client: promote(client, "7"),
            r"no version or alias '7'. Versions: 1, 2, 3; aliases: challenger",
        ),
        (lambda client: find_version(client, f"{NAME}@champoin"), "no version or alias 'champoin'"),
        (lambda client: load_champion(NAME, "digits", client), "no champion yet. Run `lectern promote"),
        (lambda client: rollback(client), "has no champion, so there is nothing to roll back"),
    ],
    ids=["misspelt name", "unknown name", "version", "alias", "load without champion", "rollback without champion"],
)
def test_an_unknown_name_is_reported_with_the_existing_ones(registered_client, action, message):
    with pytest.raises(UserError, match=message):
        action(registered_client)


def test_an_empty_store_is_reported_with_the_command_to_run(client):
    with pytest.raises(UserError, match="No model is registered yet"):
        promote(client)


@pytest.mark.slow
def test_missing_files_of_a_version_are_reported_and_restored_by_reconcile(client):
    (version,) = register(client, "best")
    shutil.rmtree(download_model_folder(client, version))
    with pytest.raises(
        UserError, match="the files of this version are missing .*Restore the files with `lectern reconcile`"
    ):
        promote(client)
    assert f"best: the files of {version}" in reconcile(client)
    assert promote(client)[0] == RegisteredModel(client, NAME).champion
