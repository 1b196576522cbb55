"""Test several simultaneous Slurm jobs: packing drives, a sweep, and trainings that log to one MLflow server."""

import os
import signal
from collections.abc import Iterator

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import steering_recordings as recordings
from fast_search import TRAIN_SCRIPT
from local_slurm import slurm, wait_until
from store_servers import find_postgres, run_mlflow_server, run_postgres
from test_cluster_pipeline import SITE, SlurmCheckout

__all__ = ["slurm"]  # imported because it is a fixture

pytestmark = pytest.mark.slurm
SEEDS = (1, 2, 3)
WAIT_SCRIPT = """import pathlib, time
if pathlib.Path("wait").exists():
    time.sleep(300)
"""


@pytest.fixture
def checkout(slurm, tmp_path) -> Iterator[SlurmCheckout]:
    """Yield a checkout, and check afterwards that no Slurm job is left."""
    yield SlurmCheckout(tmp_path / "lectern", slurm)
    assert slurm.job_ids() == []


DRIVES = {"drives": {"task": "steering", "origin": "drives"}}


def remove_other_stages(pipeline: dict) -> None:
    """Keep only the preprocess stage in dvc.yaml, because the test writes the raw files itself."""
    pipeline["stages"] = {"preprocess": pipeline["stages"]["preprocess"]}


@pytest.mark.nightly
def test_packing_drives_in_a_job_array_gives_the_same_bytes_as_one_process(checkout):
    recordings.write_udacity_challenge(checkout / "data/raw/drives", frames=30, drives=4)
    dataset = yaml.safe_load((checkout / "conf/dataset/udacity_challenge.yaml").read_text())
    dataset |= {"name": "drives", "origin": "drives"}
    dataset["preprocess"] |= {**recordings.ARGUMENTS, "test": ["HMB_2"], "validation": ["HMB_4"]}
    (checkout / "conf/dataset/drives.yaml").write_text(yaml.safe_dump(dataset))
    checkout.edit("dvc.yaml", remove_other_stages)
    checkout.edit("experiments.yaml", lambda variables: variables.update(datasets=DRIVES))
    output = checkout.do("dvc", "repro", "preprocess@drives")
    assert "preprocess_part" in output and output.count("is COMPLETED") == 4, output
    packed_by_jobs = checkout.lock()["preprocess@drives"]
    assert "Data and pipelines are up to date" in checkout.do("dvc", "status", LAUNCH="")
    checkout.do("dvc", "repro", "--force", "preprocess@drives", LAUNCH="")
    assert checkout.lock()["preprocess@drives"] == packed_by_jobs


@pytest.mark.nightly
def test_an_interrupted_sweep_cancels_its_jobs_and_continues_later(checkout, slurm):
    for stage in ("download", "preprocess"):
        checkout.do("dvc", "repro", f"{stage}@sample_digits", LAUNCH="")
    # The script waits while this file exists. The script does not change, because a search needs the same code.
    waiting = checkout / "wait"
    waiting.touch()
    (checkout / "pipelines/train.py").write_text(f"{WAIT_SCRIPT}{TRAIN_SCRIPT}")
    sweep = ("lectern", "sweep", "demo-digits", "--parallel", "2", "--seeds", "2", "--trials")
    process = checkout.start(*sweep, "4", TRAINER="laptop")
    wait_until(lambda: len(slurm.query("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT and "stopped by SIGINT" in output, output
    wait_until(lambda: slurm.job_ids() == [])
    waiting.unlink()
    output = checkout.do(*sweep, "4", TRAINER="laptop")
    assert "The best trial is trial" in output or "No trial was better" in output, output
    client = MlflowClient(checkout.store, checkout.store)
    (parent,) = client.search_runs(["1"])
    assert parent.info.status == "FINISHED" and parent.data.metrics["best_validation_accuracy"] > 0.99
    assert checkout.read_logs().count("starts on") >= 4
    assert MLFLOW_PARENT_RUN_ID not in parent.data.tags


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Yield the environment variables with which a process uses an MLflow server on PostgreSQL."""
    bin = find_postgres()
    if bin is None:
        message = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("LECTERN_NEEDS_SLURM"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("server")
    with run_postgres(bin) as postgres, run_mlflow_server(postgres.create("served"), folder) as address:
        password = (folder / "admin-password").read_text().strip()
        yield {
            "MLFLOW_TRACKING_URI": address,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": password,
        }


@pytest.mark.nightly
def test_parallel_jobs_lose_no_metrics_on_one_server(checkout, server, monkeypatch):
    """Run three trainings on two nodes each. Only one of the two processes of each training logs metrics."""
    # With this memory limit, all jobs can run at the same time.
    (checkout / "conf/cluster/test.yaml").write_text(SITE.replace("1500M", "900M"))
    checkout.do("dvc", "repro", "preprocess@sample_digits", LAUNCH="")
    grid = f"seed={','.join(map(str, SEEDS))}"
    training = ("python", "pipelines/train.py", "-m", "dataset=sample_digits", "model=digits_cnn", grid)
    output = checkout.do("lectern", "submit", *training, "model.fit.laptop.epochs=20", **server)
    assert output.count("is COMPLETED") == len(SEEDS), output
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("lectern/digits").experiment_id])
    assert sorted(run.data.params["seed"] for run in runs) == sorted(map(str, SEEDS))
    assert all(run.info.status == "FINISHED" and run.data.tags["lectern.weights"] for run in runs)
    last_start = max(run.info.start_time for run in runs)
    assert last_start < min(run.info.end_time for run in runs)  # The trainings have run at the same time.
    for run in runs:
        (history,) = (checkout / "runs" / run.data.tags["lectern.training"]).glob("*/history.csv")
        for name, records in pd.read_csv(history).groupby("name"):
            points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
            assert sorted(points) == sorted(zip(records["step"], records["value"], strict=True))
