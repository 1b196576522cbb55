"""Test that trainings as Slurm jobs give the bytes of local trainings, even after preemption and a node failure."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from checkout import STAGES, Checkout
from local_slurm import LocalSlurm, slurm, wait_until

__all__ = ["slurm"]  # imported because it is a fixture

pytestmark = pytest.mark.slurm
EPOCHS = 25  # With this number of epochs, the test has time to interrupt the training in the middle.
SITE = 'time: "00:10:00"\nmemory: 1500M\nwarning: 60\npoll: 0.5\n'


class SlurmCheckout(Checkout):
    """A checkout whose trainings are Slurm jobs on two nodes."""

    def __init__(self, folder: Path, slurm: LocalSlurm):
        self.slurm = slurm
        super().__init__(folder)
        self.edit("conf/model/digits_cnn.yaml", lambda model: model["fit"]["laptop"].update(epochs=EPOCHS))
        (self / "conf/cluster/test.yaml").write_text(SITE)

    @property
    def environment(self) -> dict[str, str]:
        environment = super().environment
        path = f"{environment['PATH']}:{self.slurm.environment['PATH']}"
        launch = {"TRAINER": "cluster_cpu", "LAUNCH": "lectern submit", "CLUSTER": "test"}
        return {**environment, **self.slurm.environment, "PATH": path, **launch}

    def read_logs(self) -> str:
        return "".join(path.read_text() for path in (self / "runs/jobs").glob("*.log"))

    def checkpoint_time(self) -> int:
        """Return the time of the last checkpoint in ns, or 0 if no checkpoint exists.

        While a checkpoint is replaced, no checkpoint exists for a moment.
        """
        with suppress(StopIteration, FileNotFoundError):
            return next(self.folder.glob("runs/*/last.ckpt")).stat().st_mtime_ns
        return 0


@pytest.fixture(scope="module")
def uninterrupted(slurm, tmp_path_factory) -> SlurmCheckout:
    checkout = SlurmCheckout(tmp_path_factory.mktemp("uninterrupted") / "lectern", slurm)
    checkout.output = checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


@pytest.fixture(scope="module")
def interrupted(slurm, uninterrupted, tmp_path_factory) -> SlurmCheckout:
    """Return a checkout whose training was preempted and later lost one of its nodes."""
    checkout = SlurmCheckout(tmp_path_factory.mktemp("interrupted") / "lectern", slurm)
    process = checkout.start("dvc", "repro", "evaluate@demo-digits")
    wait_until(checkout.checkpoint_time, process, 1200)
    slurm.submit_urgent_job()
    wait_until(lambda: checkout.read_logs().count("starts on") == 2, process, 1200)
    last_checkpoint = checkout.checkpoint_time()
    wait_until(lambda: checkout.checkpoint_time() > last_checkpoint, process, 1200)
    slurm.control("fail", "127.0.0.12")
    try:
        output, _ = process.communicate(timeout=1200)
    finally:
        slurm.control("return", "127.0.0.12")
    assert process.returncode == 0, output
    return checkout


def test_dvc_repro_trains_on_two_nodes(uninterrupted):
    assert "submitted job" in uninterrupted.output and "2 x 1 processes" in uninterrupted.output
    assert set(STAGES) == set(uninterrupted.lock())
    metrics = json.loads((uninterrupted / "metrics/demo-digits.json").read_text())
    assert metrics["score"] > metrics["baseline"]


def test_cluster_settings_make_no_stage_stale(uninterrupted):
    (uninterrupted / "conf/cluster/another.yaml").write_text(SITE.replace("1500M", "3G"))
    for environment in ({"TRAINER": "laptop", "LAUNCH": ""}, {"TRAINER": "cluster", "CLUSTER": "another"}):
        assert not [stage for stage in uninterrupted.stale(**environment) if "other-digits" not in stage]


@pytest.mark.nightly
def test_preemption_and_a_node_failure_do_not_change_the_outputs(interrupted, uninterrupted):
    logs = interrupted.read_logs()
    assert "received the stop signal" in logs and logs.count("starts on") == 3
    outputs, expected = (
        {stage: entry["outs"] for stage, entry in checkout.lock().items()} for checkout in (interrupted, uninterrupted)
    )
    assert outputs == {stage: expected[stage] for stage in STAGES[:-1]}
    metrics = [(checkout / "metrics/demo-digits.json").read_bytes() for checkout in (interrupted, uninterrupted)]
    assert metrics[0] == metrics[1]


@pytest.mark.nightly
def test_all_starts_of_a_training_are_one_mlflow_run_without_duplicate_values(interrupted, uninterrupted):
    histories = []
    for checkout in (interrupted, uninterrupted):
        client = MlflowClient(checkout.store, checkout.store)
        (run,) = client.search_runs(["1"])
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "validation/loss")
        histories.append(sorted((point.step, point.value) for point in history))
    assert histories[0] == histories[1] and len(histories[0]) == EPOCHS
