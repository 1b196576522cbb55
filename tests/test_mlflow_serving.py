"""Test the champion of each task in MLflow's own server, with the commands of docs/serving.md."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from numpy.testing import assert_allclose

from sample_champions import CHAMPIONS, DIGITS, SENTENCES, TEXT, TRANSLATION
from store_servers import free_port, wait_until_up

COMMAND = (sys.executable, "-m", "mlflow", "models")


@pytest.fixture
def client(serving_project, monkeypatch) -> MlflowClient:
    address = f"sqlite:///{serving_project / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mlflow.set_tracking_uri(address)
    return MlflowClient(address, address)


@pytest.fixture
def servers(client, tmp_path) -> Iterator[dict[str, str]]:
    """Run `mlflow models serve` for each champion, and yield a dict of the addresses."""
    processes, addresses = {}, {}
    for name in CHAMPIONS:
        port = str(free_port())
        addresses[name] = f"http://127.0.0.1:{port}"
        words = ("serve", "--model-uri", f"models:/{name}@champion", "--env-manager", "local", "--port", port)
        with open(tmp_path / name, "w") as log:
            processes[name] = subprocess.Popen([*COMMAND, *words], stdout=log, stderr=log, cwd=tmp_path)
    try:
        for name, process in processes.items():
            wait_until_up(f"{addresses[name]}/ping", process, tmp_path / name)
        yield addresses
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(60)


@pytest.mark.slow
def test_mlflow_serves_the_champion_of_each_task(servers, tmp_path):
    columns = {TEXT: "text", TRANSLATION: "target", SENTENCES: "label"}  # columns that contain texts
    for name, address in servers.items():
        model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
        path = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{name}@champion/serving_input_example.json", dst_path=str(tmp_path / f"{name}-input")
        )
        response = requests.post(f"{address}/invocations", json=json.loads(Path(path).read_text()), timeout=60)
        assert response.status_code == 200, response.text
        expected = model.predict(model.input_example)
        predictions = response.json()["predictions"]
        if name in columns:
            assert [row[columns[name]] for row in predictions] == list(expected[columns[name]])
        else:
            assert_allclose(to_numbers(predictions), to_numbers(expected), atol=1e-5)


def to_numbers(predictions) -> list[list[float]]:
    """Return the rows of an array, of a data frame or of records as lists of numbers."""
    rows = predictions.to_dict("records") if hasattr(predictions, "to_dict") else predictions
    return [list(row.values()) if isinstance(row, dict) else list(row) for row in rows]


@pytest.mark.slow
def test_the_generated_docker_context_contains_the_model_and_its_exact_requirements(client, tmp_path):
    words = ("generate-dockerfile", "--model-uri", f"models:/{DIGITS}@champion", "--output-directory", "context")
    subprocess.run([*COMMAND, *words], check=True, cwd=tmp_path, env=os.environ)
    context = tmp_path / "context"
    dockerfile = (context / "Dockerfile").read_text()
    assert "COPY model_dir /opt/ml/model" in dockerfile and "ENTRYPOINT" in dockerfile
    requirements = (context / "model_dir/requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} >= {"mlflow", "torch", "safetensors"}
    assert all("==" in line for line in requirements)
    assert list((context / "model_dir").rglob("weights.safetensors"))
