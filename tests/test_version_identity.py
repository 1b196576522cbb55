"""Test that a version is identified by its weights, its evaluation and its code, and that versions share no code."""

import json
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from checkout import Checkout
from children import lectern
from lectern.errors import UserError
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern_server import run_server
from registered import NAME, register
from sample_champions import CHAMPIONS

# A score belongs to the weights, the data and the code with which it was measured.


def replace_weights(experiment: str, other: str) -> None:
    """Replace the model of an experiment without evaluating it, as `dvc repro train@...` does."""
    shutil.rmtree(f"models/{experiment}")
    shutil.copytree(f"models/{other}", f"models/{experiment}")


def change_evaluation(experiment: str, **values: str) -> None:
    path = Path(f"reports/{experiment}/evaluation.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def use_other_weights() -> None:
    replace_weights("weak", "best")


def use_other_data() -> None:
    change_evaluation("weak", test_digest="0" * 64)


def use_other_code() -> None:
    change_evaluation("weak", code_digest="0" * 64)


CHANGES = {
    use_other_weights: "does not belong to the weights in models/weak: its weights_digest is",
    use_other_data: "does not belong to the test data in data/processed/sample_digits: its test_digest is 000000000000",
    use_other_code: "does not belong to the code of this checkout: its code_digest is 000000000000",
}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "message"), CHANGES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_score_of_another_evaluation_is_not_registered(client, change, message):
    change()
    with pytest.raises(UserError, match=message):
        register(client, "weak")
    messages = "\n".join(reconcile(client))
    assert message in messages and "Evaluate again: dvc repro register@weak" in messages
    experiments = {version.experiment for version in RegisteredModel(client, NAME).versions}
    assert experiments == {"better", "best"}


def test_the_list_of_experiments_reports_a_score_of_other_weights(registered_client):
    replace_weights("weak", "best")
    ended = lectern("experiments")
    assert ended.code == 0 and "does not belong to the weights in models/weak" in ended.said
    (row,) = [line for line in ended.said.splitlines() if line.strip().startswith("weak ")]
    assert "0." not in row


# Code that is part of a version


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """Return a checkout whose inference API was changed after the first version was registered."""
    checkout = Checkout(tmp_path_factory.mktemp("identity") / "lectern")
    checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


API = "src/lectern/tasks/digits/serving/inference_api.py"


def invert_predictions(source: str) -> str:
    return source.replace("return module.predict(", "return 1 - module.predict(")


LOAD_VERSIONS = """
import sys
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
images = np.load("data/processed/sample_digits/test_images.npy")[:20]
predictions = {number: mlflow.pyfunc.load_model(f"models:/sample_digits/{number}").predict(images)
               for number in sys.argv[2:]}
np.testing.assert_allclose(predictions["2"], 1 - predictions["1"], atol=1e-6)
"""


@pytest.mark.slow
def test_a_change_of_code_creates_a_new_version_and_both_versions_run_in_one_process(checkout):
    client = MlflowClient(checkout.store, checkout.store)
    with checkout.changed(API):  # Only a comment of the file changes.
        assert "Nothing was missing" in checkout.do("lectern", "reconcile")
    with checkout.changed(API, invert_predictions):
        assert "sample_digits version 2" in checkout.do("lectern", "reconcile")
        assert "Nothing was missing" in checkout.do("lectern", "reconcile")
        assert "sample_digits version 2" in checkout.do("dvc", "repro", "register@demo-digits")
    versions = RegisteredModel(client, NAME).versions
    assert [version.number for version in versions] == [2, 1]
    assert versions[0].outputs == versions[1].outputs and versions[0].code != versions[1].code
    for order in permutations(["1", "2"]):
        checkout.do("python", "-c", LOAD_VERSIONS, checkout.store, *order)


IMAGES = "data/processed/sample_digits/test_images.npy"


def predict(checkout: Checkout, name: str) -> np.ndarray:
    """Return the probabilities that `lectern predict` writes for the test images."""
    output = checkout / f"{name}.csv"
    checkout.do("lectern", "predict", "sample_digits", "--input", IMAGES, "--output", str(output))
    return pd.read_csv(output)[[f"output_{digit}" for digit in range(10)]].to_numpy()


@pytest.mark.slow
@pytest.mark.nightly
def test_a_rollback_also_restores_the_code(checkout):
    """The checkout has the new code, so the packaged code of the old version predicts."""
    with checkout.changed(API, invert_predictions):
        checkout.do("lectern", "reconcile")
        for version in ("1", "2"):
            checkout.do("lectern", "promote", "sample_digits", "--version", version, "--force", "to test a rollback")
        inverted = predict(checkout, "inverted")
        checkout.do("lectern", "rollback", "sample_digits")
        code, output = checkout.run("lectern", "predict", "sample_digits", "--input", IMAGES, "--output", "refused.csv")
        assert code == 1 and "no committed decision with this digest" in output
        assert f"git checkout {checkout.git('rev-parse', 'HEAD').strip()}" in output
        checkout.git("add", "--force", "registry")
        checkout.git("commit", "--quiet", "--message=Record the decisions")
        np.testing.assert_allclose(predict(checkout, "restored"), 1 - inverted, atol=1e-5)
        with run_server(checkout.folder, checkout.store, PYTHONPATH=str(checkout / "src")) as server:
            served = server.get("/v1/models/sample_digits").json()
            assert served["version"] == 1 and served["packaged_code"] and len(served["code"]) == 64
            image = np.load(checkout / IMAGES)[0]
            (probabilities,) = server.predict("sample_digits", input=image.tolist()).json()["outputs"]
    np.testing.assert_allclose(probabilities, 1 - inverted[0], atol=1e-5)


LOAD_TASKS = """
import sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
for name in sys.argv[2:]:
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    print(name, len(model.predict(model.input_example)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("names", [list(CHAMPIONS), list(CHAMPIONS[::-1])])
def test_models_of_all_tasks_predict_in_one_process(serving_project, names, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    store = f"sqlite:///{serving_project / 'mlflow.db'}"
    command = [sys.executable, "-c", LOAD_TASKS, store, *names]
    done = subprocess.run(command, cwd=serving_project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    assert list(counts) == names and all(int(count) > 0 for count in counts.values())
