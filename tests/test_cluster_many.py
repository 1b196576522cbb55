"""Many jobs at once on a real Slurm: drives packed apart, a sweep, and runs that all write to one server."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import steering_recordings as recordings
from local_slurm import LocalSlurm, await_that, begin
from servers import find_postgres, running_postgres, running_server
from test_cluster_pipeline import SITE, OnSlurm
from test_sweeps import STAND_IN

pytestmark = pytest.mark.slurm
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def slurm() -> Iterator[LocalSlurm]:
    slurm = begin(Path(tempfile.mkdtemp(prefix="ls-")))
    yield slurm
    slurm.down()


@pytest.fixture
def checkout(slurm, tmp_path) -> OnSlurm:
    """A test leaves no job behind."""
    yield OnSlurm(tmp_path / "lectern", slurm)
    assert slurm.jobs() == []


DRIVES = {"drives": {"task": "steering", "origin": "drives"}}


def keep_preprocess(pipeline: dict) -> None:
    """Remove every other stage: the raw files are there already."""
    pipeline["stages"] = {"preprocess": pipeline["stages"]["preprocess"]}


def test_drives_are_packed_by_an_array_of_jobs_to_the_bytes_of_one_process(checkout):
    recordings.udacity_challenge(checkout / "data/raw/drives", frames=30, drives=4)
    dataset = yaml.safe_load((checkout / "conf/dataset/udacity_challenge.yaml").read_text())
    dataset |= {"name": "drives", "origin": "drives"}
    dataset["preprocess"] |= {**recordings.ARGUMENTS, "test": ["HMB_2"], "validation": ["HMB_4"]}
    (checkout / "conf/dataset/drives.yaml").write_text(yaml.safe_dump(dataset))
    checkout.edit("dvc.yaml", keep_preprocess)
    checkout.edit("experiments.yaml", lambda variables: variables.update(datasets=DRIVES))
    said = checkout.do("dvc", "repro", "preprocess@drives")
    assert "preprocess_part" in said and said.count("is completed") == 4, said
    apart = checkout.lock()["preprocess@drives"]
    assert "Data and pipelines are up to date" in checkout.do("dvc", "status", LAUNCH="")
    checkout.do("dvc", "repro", "--force", "preprocess@drives", LAUNCH="")
    assert checkout.lock()["preprocess@drives"] == apart


def test_a_sweep_runs_its_trials_as_jobs_goes_on_later_and_leaves_none_behind(checkout, slurm):
    for stage in ("download", "preprocess"):
        checkout.do("dvc", "repro", f"{stage}@sample_digits", LAUNCH="")
    (checkout / "pipelines/train.py").write_text("import time\ntime.sleep(300)\n" + STAND_IN)
    sweep = ("lectern", "sweep", "demo-digits", "--parallel", "2", "--trials")
    process = checkout.start(*sweep, "4", TRAINER="laptop")
    await_that(lambda: len(slurm.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "Traceback" not in said, said
    await_that(lambda: slurm.jobs() == [], checkout.start("sleep", "100"))
    (checkout / "pipelines/train.py").write_text(STAND_IN)
    said = checkout.do(*sweep, "4", TRAINER="laptop")
    assert "The best is trial" in said or "Nothing better" in said, said
    client = MlflowClient(checkout.store, checkout.store)
    (parent,) = client.search_runs(["1"])
    assert parent.info.status == "FINISHED" and parent.data.metrics["best_validation_accuracy"] > 0.99
    assert checkout.log().count("starts on") >= 4
    assert MLFLOW_PARENT_RUN_ID not in parent.data.tags


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What reaches an MLflow server on PostgreSQL."""
    bin = find_postgres()
    if bin is None:
        if os.environ.get("LECTERN_NEEDS_SLURM"):
            pytest.fail("there is no PostgreSQL on this machine (Debian: apt-get install postgresql)")
        pytest.skip("there is no PostgreSQL on this machine (Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("server")
    with running_postgres(bin) as postgres, running_server(postgres.create("served"), folder) as address:
        password = (folder / "admin-password").read_text().strip()
        yield {
            "MLFLOW_TRACKING_URI": address,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": password,
        }


def test_jobs_that_log_to_one_server_at_once_lose_nothing(checkout, server, monkeypatch):
    """Three trainings on two nodes each: six processes, of which three write."""
    (checkout / "conf/cluster/test.yaml").write_text(SITE.replace("1500M", "900M"))  # all fit at once
    checkout.do("dvc", "repro", "preprocess@sample_digits", LAUNCH="")
    grid = f"seed={','.join(map(str, SEEDS))}"
    training = ("python", "pipelines/train.py", "-m", "dataset=sample_digits", "model=digits_cnn", grid)
    said = checkout.do("lectern", "submit", *training, "model.fit.laptop.epochs=20", **server)
    assert said.count("is completed") == len(SEEDS), said
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("lectern/digits").experiment_id])
    assert sorted(run.data.params["seed"] for run in runs) == sorted(map(str, SEEDS))
    assert all(run.info.status == "FINISHED" and run.data.tags["lectern.weights"] for run in runs)
    began = max(run.info.start_time for run in runs)
    assert began < min(run.info.end_time for run in runs)  # they did run at the same time
    for run in runs:
        (history,) = (checkout / "runs" / run.data.tags["lectern.training"]).glob("*/history.csv")
        for name, rows in pd.read_csv(history).groupby("name"):
            points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
            assert sorted(points) == sorted(zip(rows["step"], rows["value"], strict=True))
