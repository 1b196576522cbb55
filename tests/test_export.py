"""Test that an exported ONNX file computes the outputs of PyTorch. A file with other outputs is not attached."""

import hashlib
import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from lectern.artifacts import model_folder
from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.registry.versions import download_files, download_model_folder, find_version
from lectern.serving import export
from lectern.tasks.steering.data.format.frames import prepare
from marked_cases import mostly
from sample_champions import DIGITS, STEERING, TEXT


@pytest.fixture
def client(serving_project, monkeypatch):
    monkeypatch.chdir(serving_project)
    return MlflowClient(f"sqlite:///{serving_project / 'mlflow.db'}")


def load_module(client: MlflowClient, name: str):
    return model_folder.load_model(download_model_folder(client, find_version(client, name)))


def run_onnx(path: str, inputs: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: inputs})[0]


def load_inputs_and_outputs(name: str, module) -> tuple[np.ndarray, np.ndarray]:
    """Return test inputs in the format of the ONNX file, and the outputs of PyTorch."""
    if name == DIGITS:
        images = np.load(PROCESSED / name / "test_images.npy")[:50]
        return images, module.predict(images)
    frames = prepare(np.load(PROCESSED / name / "test_frames.npy")[:20], module.facts)
    return frames, module.predict(frames[:, None])["angle"][:, None]


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly("nightly", [DIGITS, STEERING], always=[STEERING]))
def test_the_attached_file_computes_the_outputs_of_pytorch(client, name):
    version = find_version(client, name)
    address, difference = export.export(client, version)
    mlflow.set_tracking_uri(client.tracking_uri)
    path = download_artifacts(artifact_uri=address)
    check = json.loads(download_files(client, version, "onnx/export.json").read_text())
    assert check["file"] == Path(path).name and check["difference"] == difference <= 1e-4
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == check["sha256"]
    inputs, expected = load_inputs_and_outputs(name, load_module(client, name))
    np.testing.assert_allclose(run_onnx(path, inputs), expected, atol=1e-4)


@pytest.mark.slow
def test_a_file_with_different_outputs_is_not_attached(client, monkeypatch):
    version = find_version(client, DIGITS)
    monkeypatch.setattr(export, "compare_outputs", lambda *_: 2e-4)
    monkeypatch.setattr(export, "attach_file", lambda *_: pytest.fail("the file was attached"))
    with pytest.raises(UserError, match="differ from .* by 0.0002"):
        export.export(client, version)


@pytest.mark.slow
def test_the_comparison_detects_changed_weights(client, tmp_path):
    from lectern.tasks.digits.serving import onnx

    module, path = load_module(client, DIGITS), tmp_path / "model.onnx"
    export.write_onnx(onnx, module, path)
    assert export.compare_outputs(onnx, module, path) <= export.TOLERANCE
    module.network[-1].weight.data.neg_()
    assert export.compare_outputs(onnx, module, path) > export.TOLERANCE


def test_a_task_without_onnx_support_is_reported(client):
    with pytest.raises(UserError, match="cannot be exported to ONNX, because the task language_model has no module"):
        export.export(client, find_version(client, TEXT))
