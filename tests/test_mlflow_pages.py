"""Test the pages of MLflow's UI in a browser: the runs with their scores, and the tab with the logged models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import expect

from registered import NAME, TRAINING_IMAGES
from store_servers import free_port, wait_until_up

MODE = "workflowType=machine_learning"

pytestmark = pytest.mark.browser


@pytest.fixture
def pages(registered_client, tmp_path) -> Iterator[str]:
    """Run `mlflow ui` on a store with three versions, and yield the address of the experiment `lectern/digits`."""
    port = str(free_port())
    address, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    command = (sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", port, "--workers", "1")
    settings = {"MLFLOW_BACKEND_STORE_URI": registered_client.tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with open(log, "w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        wait_until_up(f"{address}/health", process, Path(log))
        yield f"{address}/#/experiments/{find_experiment(registered_client)}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def find_experiment(client: MlflowClient) -> str:
    return str(client.get_experiment_by_name("lectern/digits").experiment_id)


def test_the_runs_show_their_scores_and_the_models_tab_shows_each_version(pages, open_page):
    page = open_page(f"{pages}/runs?{MODE}&viewStateShareKey=scores", tab=None)
    expect(page.get_by_role("columnheader", name="test/score").first).to_be_visible()
    expect(page.get_by_text("Trainings of the task digits.")).to_be_visible()
    page = open_page(f"{pages}/models?{MODE}", tab=None)
    for name in TRAINING_IMAGES:
        expect(page.get_by_role("link", name=name, exact=True).first).to_be_visible()
    page.get_by_role("link", name="best", exact=True).first.click()
    for text in ("test/score", "validation/loss", "Ready"):
        expect(page.get_by_text(text).first).to_be_visible()
    version = page.get_by_role("link").filter(has_text=NAME).filter(has_text="v3")
    expect(version.first).to_be_visible()
