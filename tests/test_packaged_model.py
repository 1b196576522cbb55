"""Test that the packaged code of a version predicts if the committed audit log contains the digest of this code."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.registry.loaded_model import LoadedModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.serving.champions import Champion, load_champion, load_version
from lectern.serving.deadline import Deadline, PredictionTimeout
from lectern.serving.export import export
from lectern.serving.packaged_model import PackagedModel, ProcessEnded
from lectern.tasks.steering.data.format.frames import prepare
from lectern_server import as_png
from other_code import COMMIT, commit_decision, register_other_code, write_decision
from sample_champions import DIGITS, STEERING, TEXT, TRANSLATION

INFERENCE_API = "tasks/digits/serving/inference_api.py"


@pytest.fixture
def client(serving_project, tmp_path, monkeypatch) -> MlflowClient:
    """Return the client of a copy of the store. The current folder is the empty folder `checkout`."""
    shutil.copyfile(serving_project / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def invert(source: str) -> str:
    return source.replace("return module.predict(", "return 1 - module.predict(")


def register_inverted(client: MlflowClient) -> ModelVersionRecord:
    """Register a digits model whose packaged code returns inverted probabilities."""
    return register_other_code(client, DIGITS, Path(), INFERENCE_API, invert)


@pytest.fixture(scope="module")
def inverted(serving_project, tmp_path_factory) -> Champion:
    """Return a loaded version whose packaged code returns inverted probabilities."""
    folder = tmp_path_factory.mktemp("inverted")
    shutil.copyfile(serving_project / "mlflow.db", folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        version = register_inverted(client)
        commit_decision(version)
        add_foreign_files(next(Path("files/code").iterdir()))
        return load_version(client, version)


def add_foreign_files(package: Path) -> None:
    """Add files to the version that would break the separate process if the process used these files."""
    (package.parent / "torch.py").write_text("raise SystemExit('changed')")
    (package / "task_modules.so").write_bytes(b"changed")


@pytest.fixture
def images(serving_project) -> np.ndarray:
    return np.load(serving_project / PROCESSED / DIGITS / "test_images.npy")[:20]


@pytest.fixture
def own(client) -> LoadedModel:
    """Return the champion of the digits with the code of this checkout."""
    model = load_champion(DIGITS, "digits", client).model
    assert isinstance(model, LoadedModel)
    return model


# Which code runs


@pytest.mark.slow
@pytest.mark.nightly
def test_the_packaged_code_predicts_and_reads_files_and_uses_no_other_file_of_the_version(
    inverted, own, images, tmp_path
):
    assert inverted.runs_packaged_code
    np.testing.assert_allclose(inverted.model.predict(images), 1 - own.predict(images), atol=1e-6)
    (tmp_path / "digit.png").write_bytes(as_png(images[0]))
    (picture,) = inverted.model.read_file(tmp_path / "digit.png", 1.0)
    np.testing.assert_array_equal(picture, next(own.read_file(tmp_path / "digit.png", 1.0)))


def test_code_without_a_committed_decision_is_refused_with_its_commit(client):
    version = register_inverted(client)
    message = f"no committed decision with this digest. To use the code of the version, run `git checkout {COMMIT}`"
    with pytest.raises(UserError, match=message):
        load_version(client, version)
    write_decision(version)
    with pytest.raises(UserError, match=message):
        load_version(client, version)


def append_code(path: Path) -> None:
    path.write_text(path.read_text() + "\nprint('changed')\n")


def add_expression_to_docstring(path: Path) -> None:
    path.write_text(path.read_text() + "\nf\"{print('changed')}\"\n")


def select_encoding(path: Path) -> None:
    path.write_text("# coding: utf-7\n# +AAo-print('changed')\n" + path.read_text())


def add_module(path: Path) -> None:
    (path.parent / "added.py").write_text("print('changed')\n")


def delete_module(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "change", [append_code, add_expression_to_docstring, select_encoding, add_module, delete_module]
)
def test_changed_files_of_a_version_are_refused_with_the_commit(client, change):
    version = register_inverted(client)
    commit_decision(version)
    (path,) = Path().glob(f"files/code/*/{INFERENCE_API}")
    change(path)
    with pytest.raises(UserError, match=f"is not the code that was registered.*git checkout {COMMIT}"):
        load_version(client, version)


@pytest.mark.nightly
def test_a_version_with_another_signature_is_refused(client):
    version = register_other_code(
        client, DIGITS, Path(), INFERENCE_API, lambda source: source.replace("np.float32), (-1", "np.float64), (-1")
    )
    commit_decision(version)
    with pytest.raises(UserError, match="the inputs, outputs or parameters of the version differ"):
        load_version(client, version)


def test_a_version_with_other_code_is_not_exported(client):
    version = register_inverted(client)
    commit_decision(version)
    with pytest.raises(UserError, match=f"the ONNX export needs a checkout with the code.*git checkout {COMMIT}"):
        export(client, version)


# Every request of every task


def load_changed(client: MlflowClient, name: str, file: str, old: str, new: str) -> PackagedModel:
    version = register_other_code(client, name, Path(), file, lambda source: source.replace(old, new))
    commit_decision(version)
    model = load_version(client, version).model
    assert isinstance(model, PackagedModel)
    return model


@pytest.mark.slow
def test_the_packaged_code_streams_a_text(client):
    file = "tasks/language_model/serving/request.py"
    model = load_changed(client, TEXT, file, "encode(inputs[", "encode('f' + inputs[")
    prompt, params = pd.DataFrame({"prompt": ["or"]}), {"length": 12}
    expected = load_champion(TEXT, "language_model", client).model.iterate(
        "stream", prompt.replace("or", "for"), params
    )
    assert list(model.iterate("stream", prompt, params)) == list(expected)
    with closing(model.iterate("stream", prompt, params)) as stopped:
        next(stopped)
    assert len(model.predict(prompt, params)["text"][0]) == 12


@pytest.mark.nightly
def test_the_packaged_code_returns_attention(client):
    file = "tasks/translation/serving/word_attention.py"
    model = load_changed(client, TRANSLATION, file, 'END = "end"', 'END = "stop"')
    source, target, weights = model.call("word_attention", "one two", 2)
    assert source[-1] == target[-1] == "stop" and weights.shape[2:] == (len(target), len(source))
    assert "tokenizer" in model.facts


@pytest.mark.nightly
def test_the_packaged_code_predicts_a_drive(client, serving_project):
    file = "tasks/steering/serving/request.py"
    old, new = "return inference.predict_drive(module, frames)", "return inference.predict_drive(module, frames[::-1])"
    model = load_changed(client, STEERING, file, old, new)
    frames = prepare(np.load(serving_project / PROCESSED / STEERING / "test_frames.npy")[:8], model.facts)
    expected = load_champion(STEERING, "steering", client).model.call("predict_drive", frames[::-1])
    np.testing.assert_allclose(model.call("predict_drive", frames)["angle"], expected["angle"], atol=1e-6)


@pytest.mark.parametrize("task", ["translation", "language_model", "steering"])
def test_a_champion_of_another_task_is_refused(client, task):
    with pytest.raises(UserError, match=f"{DIGITS} is a model of the task digits, but this command needs .* {task}"):
        load_champion(DIGITS, task, client)


# The process


@pytest.mark.slow
def test_an_error_of_the_packaged_code_keeps_its_message(inverted, images):
    with pytest.raises(UserError, match="27"):
        inverted.model.predict(images[:, 1:])


@pytest.mark.nightly
def test_a_call_that_reaches_its_time_limit_is_stopped_and_the_next_call_works(inverted, images):
    process, many = inverted.model.process, np.repeat(images, 3000, axis=0)
    with pytest.raises(PredictionTimeout, match="took longer than 0.3 seconds"):
        Deadline(0.3).run(inverted.model.predict, many)
    assert inverted.model.predict(images).shape == (20, 10) and inverted.model.process != process


@pytest.mark.slow
@pytest.mark.nightly
def test_a_process_that_was_killed_is_started_again(inverted, images):
    expected = inverted.model.predict(images)
    os.kill(inverted.model.process, signal.SIGKILL)
    with pytest.raises(ProcessEnded, match="Retry the request"):
        inverted.model.predict(images)
    np.testing.assert_array_equal(inverted.model.predict(images), expected)


def test_calls_from_several_threads_return_their_own_predictions(inverted, images):
    results: dict[int, np.ndarray] = {}

    def predict(number: int) -> None:
        results[number] = inverted.model.predict(images[number : number + 1])

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = inverted.model.predict(images[:6])
    np.testing.assert_allclose(np.concatenate([results[number] for number in range(6)]), together, atol=1e-5)


PREDICT_AND_WAIT = """
import sys, time
from pathlib import Path
from lectern.serving.packaged_model import PackagedModel
if __name__ == "__main__":
    model = PackagedModel(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    print(model.process, flush=True)
    time.sleep(600)
"""


@pytest.mark.nightly
def test_the_process_ends_when_its_parent_is_killed(inverted, tmp_path):
    (tmp_path / "wait.py").write_text(PREDICT_AND_WAIT)
    files = Path(local_file_uri_to_path(inverted.version.source))
    arguments = [files, files / "artifacts" / inverted.version.experiment, inverted.version.code]
    command = [sys.executable, tmp_path / "wait.py", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        process = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{process}").exists() and "Z" not in Path(f"/proc/{process}/stat").read_text():
        assert time.monotonic() < deadline, "the process still runs"
        time.sleep(0.05)
