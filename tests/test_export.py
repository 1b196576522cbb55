"""ONNX: the file that hangs on a version answers as PyTorch does."""

import hashlib

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.registry import versions
from lectern.serving import export
from lectern.tasks.steering.data.format.frames import prepare
from served import DIGITS, POEMS, ROAD


@pytest.fixture
def client(four, monkeypatch):
    monkeypatch.chdir(four)
    return MlflowClient(f"sqlite:///{four / 'mlflow.db'}")


def run(path, inputs: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {session.get_inputs()[0].name: inputs})[0]


def inputs_of(four, name: str, module) -> tuple[np.ndarray, np.ndarray]:
    """Real test inputs as the file takes them, and what PyTorch answers."""
    processed = four / "data" / "processed" / name
    if name == DIGITS:
        images = np.load(processed / "test_images.npy")[:50]
        return images, module.predict(images)
    frames = prepare(np.load(processed / "test_frames.npy")[:20], module.facts)
    return frames, module.predict(frames[:, None])["angle"][:, None]


@pytest.mark.parametrize("name", [DIGITS, ROAD])
def test_the_attached_file_answers_real_inputs_as_pytorch_does(client, four, name):
    version = versions.find_named(client, name)
    where, difference = export.export(client, version)
    tags = client.get_model_version(name, version.version).tags
    assert tags["lectern.onnx_uri"] == where and float(tags["lectern.onnx_difference"]) == difference <= 1e-4
    path = download_artifacts(artifact_uri=where, tracking_uri=client.tracking_uri)
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == tags["lectern.onnx_sha256"]
    inputs, expected = inputs_of(four, name, model_folder.load_model(versions.model_folder(client, version)))
    np.testing.assert_allclose(run(path, inputs), expected, atol=1e-4)


def test_a_file_that_answers_otherwise_is_not_attached(client, monkeypatch):
    version = versions.find_named(client, DIGITS)
    monkeypatch.setattr(export, "compare", lambda *_: 2e-4)
    monkeypatch.setattr(client, "log_artifact", lambda *_: pytest.fail("attached"))
    with pytest.raises(UserError, match="differ by 0.0002"):
        export.export(client, version)


def test_a_comparison_sees_a_network_that_was_changed(client, tmp_path):
    from lectern.tasks.digits.serving import onnx

    module = model_folder.load_model(versions.model_folder(client, versions.find_named(client, DIGITS)))
    export.write(onnx, module, tmp_path / "model.onnx")
    assert export.compare(onnx, module, tmp_path / "model.onnx") <= export.TOLERANCE
    module.network[-1].weight.data.neg_()
    assert export.compare(onnx, module, tmp_path / "model.onnx") > export.TOLERANCE


def test_what_cannot_be_exported_is_told(client):
    with pytest.raises(UserError, match="language model are not exported"):
        export.export(client, versions.find_named(client, POEMS))
