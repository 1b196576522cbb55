"""The registry: a version answers as its model does, and says all that it is; a name that is not there is said."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from children import in_child
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.registry import promotion, reconcile, versions
from registered import NAME, TAUGHT, images, paths_of, register


def test_the_taught_experiments_are_as_good_as_they_are_called(written):
    scores = [json.loads((written / "metrics" / f"{name}.json").read_text())["score"] for name in TAUGHT]
    assert 0.3 < scores[0] < scores[1] - 0.05 and scores[1] < scores[2] - 0.03


def test_a_version_says_what_it_is_and_nothing_of_store_or_machine(client, shop):
    (version,) = register(client, "better")
    tags = {key.removeprefix("lectern."): value for key, value in version.tags.items()}
    metrics = json.loads(Path("metrics/better.json").read_text())
    assert tags["experiment"] == "better" and tags["task"] == "digits" and tags["weights"] == paths_of("better").weights
    assert float(tags["score"]) == metrics["score"] and tags["test_digest"] == metrics["test_digest"]
    assert version.description == Path("cards/better.md").read_text()
    assert str(shop) not in json.dumps(version.tags) + version.description


def test_a_version_has_signature_example_and_exact_requirements(client):
    import mlflow

    (version,) = register(client, "better")
    folder = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=client.tracking_uri))
    described = mlflow.models.Model.load(folder)
    assert described.signature.inputs.inputs[0].shape == (-1, 28, 28)
    assert described.signature.outputs.inputs[0].shape == (-1, 10)
    assert np.asarray(described.load_input_example(str(folder))).shape == (2, 28, 28)
    required = (folder / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in required} >= {"torch", "mlflow", "pytorch-lightning", "safetensors"}
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in required)  # no `+cpu`, no range, no path
    code = {path.name for path in (folder / "code" / "lectern").iterdir() if path.is_dir()}
    assert code == {"digits", "serving"} and (folder / "code" / "lectern" / "digits" / "module.py").is_file()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    report = {path.name for path in (folder / "report").iterdir()}
    assert {"metrics.json", "items.parquet", "details.json"} <= report
    assert (folder / "card.md").read_text() == Path("cards/better.md").read_text()
    kept = {path.name: path.read_bytes() for path in (folder / "artifacts" / "better").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in Path("models/better").iterdir()}


def test_a_card_too_long_for_the_store_is_cut_there_and_whole_among_the_files(client):
    card = Path("cards/better.md")
    card.write_text("\n\n".join([card.read_text(), *("a paragraph of the card" * 4,) * 100]))
    (version,) = register(client, "better")
    assert len(version.description) <= 5000 and version.description.endswith("`card.md` among the version's files.\n")
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=client.tracking_uri))
    assert (folder / "card.md").read_text() == card.read_text()


def test_the_same_outs_are_one_version_however_often_they_are_registered(client):
    assert len({version.version for version in register(client, "better", "better", "best", "better")}) == 2


def test_the_champion_answers_by_mlflow_as_the_module_does(stocked, store):
    import mlflow

    promotion.promote(stocked, NAME, None)
    mlflow.set_tracking_uri(store)
    answered = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(images())
    expected = model_folder.load_model(Path("models/best")).predict(images())
    assert answered.dtype == np.float32 and np.array_equal(answered, expected)
    assert np.array_equal(versions.load_champion(NAME, stocked).predict(images()), expected)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 28, 28), np.float32), np.zeros((2, 27, 28), np.uint8)], ids=["type", "shape"]
)
def test_mlflow_refuses_inputs_that_the_signature_does_not_take(client, store, wrong):
    import mlflow

    (version,) = register(client, "better")
    mlflow.set_tracking_uri(store)
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        mlflow.pyfunc.load_model(f"models:/{NAME}/{version.version}").predict(wrong)


def test_a_version_loads_and_answers_without_the_network_and_without_unpickling(client, store, monkeypatch):
    (version,) = register(client, "best")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    ended = in_child(answer_watched, f"models:/{NAME}/{version.version}", store)
    assert ended.code == 0 and "asked for" not in ended.said, ended.said


def answer_watched(uri: str, store: str) -> None:
    """Python itself tells of every connection and of every class that a pickle names."""
    import mlflow

    def watch(event: str, arguments: tuple) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "pickle.find_class"):
            print(f"asked for {event}{arguments}")

    sys.addaudithook(watch)
    mlflow.set_tracking_uri(store)
    assert mlflow.pyfunc.load_model(uri).predict(images()).shape == (40, 10)


@pytest.mark.index
def test_a_version_answers_in_an_environment_that_has_only_what_it_lists(client, store, tmp_path, monkeypatch):
    """A fresh one, without this repository; torch first and by itself, as the README says."""
    import mlflow

    (version,) = register(client, "best")
    folder = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=store))
    shutil.copytree(folder, tmp_path / "version")
    np.save(tmp_path / "images.npy", images())
    expected = model_folder.load_model(Path("models/best")).predict(images())
    monkeypatch.delenv("PYTHONPATH", raising=False)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = next(line for line in (folder / "requirements.txt").read_text().split() if line.startswith("torch=="))
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "-r", tmp_path / "version" / "requirements.txt"], check=True)
    ask = (
        "import mlflow, numpy as np; model = mlflow.pyfunc.load_model('version');"
        "np.save('answers.npy', model.predict(np.load('images.npy')));"
        "import lectern; print(lectern.__file__)"
    )
    done = subprocess.run([python, "-c", ask], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert str(tmp_path / "version" / "code") in done.stdout  # its own code, not this repository's
    assert np.allclose(np.load(tmp_path / "answers.npy"), expected, atol=1e-6)


# Names that are not there


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client: promotion.promote(client, "sample_digit", None), r"did you mean 'sample_digits'\?"),
        (lambda client: promotion.rollback(client, "mnist"), "No model 'mnist' is registered"),
        (
            lambda client: promotion.promote(client, NAME, "7"),
            r"no version or alias '7'. Versions: 1, 2, 3; aliases: challenger",
        ),
        (lambda client: versions.find_named(client, f"{NAME}@champoin"), "no version or alias 'champoin'"),
        (lambda client: versions.load_champion(NAME, client), "no champion yet. Promote one: lectern promote"),
        (lambda client: promotion.rollback(client, NAME), "champion"),
    ],
    ids=["promote", "rollback", "version", "alias", "champion", "no champion"],
)
def test_a_name_that_is_not_there_is_answered_with_what_is(stocked, ask, said):
    with pytest.raises(UserError, match=said):
        ask(stocked)


def test_an_empty_store_is_answered_with_what_to_run(client):
    with pytest.raises(UserError, match="Nothing is registered yet: dvc repro, or make demo"):
        promotion.promote(client, NAME, None)


def test_a_version_whose_files_are_gone_is_said(client):
    (version,) = register(client, "best")
    shutil.rmtree(Path(versions.model_folder(client, version)))
    with pytest.raises(UserError, match="its files are gone .*Bring them back with `lectern reconcile`"):
        promotion.promote(client, NAME, None)
    assert f"best: the files of {NAME} version {version.version}" in reconcile.reconcile(client)
    assert promotion.promote(client, NAME, None)[0].version == version.version
