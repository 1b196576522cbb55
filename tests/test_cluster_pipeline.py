"""The pipeline with its trainings on a real Slurm: the same stages, the same bytes whatever happens on the way."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from checkout import STAGES, Checkout
from local_slurm import LocalSlurm, await_that, begin

pytestmark = pytest.mark.slurm
EPOCHS = 25  # long enough to be met in the middle
SITE = 'time: "00:10:00"\nmemory: 1500M\nwarning: 60\npoll: 0.5\n'


class OnSlurm(Checkout):
    """A checkout whose trainings are jobs on two nodes."""

    def __init__(self, folder: Path, slurm: LocalSlurm):
        self.slurm = slurm
        super().__init__(folder)
        self.edit("conf/model/digits_cnn.yaml", lambda model: model["fit"]["laptop"].update(epochs=EPOCHS))
        (self / "conf/cluster/test.yaml").write_text(SITE)

    @property
    def environment(self) -> dict[str, str]:
        plain = super().environment
        reach = {**self.slurm.environment, "PATH": f"{plain['PATH']}:{self.slurm.environment['PATH']}"}
        launch = {"TRAINER": "cluster_cpu", "LAUNCH": "lectern submit", "CLUSTER": "test"}
        return {**plain, **reach, **launch}

    def log(self) -> str:
        return "".join(path.read_text() for path in (self / "runs/jobs").glob("*.log"))

    def saved(self) -> int:
        """When the last checkpoint was written, in ns; 0 in the moment in which the one before has made way for it."""
        with suppress(StopIteration, FileNotFoundError):
            return next(self.folder.glob("runs/*/last.ckpt")).stat().st_mtime_ns
        return 0


@pytest.fixture(scope="module")
def slurm() -> Iterator[LocalSlurm]:
    slurm = begin(Path(tempfile.mkdtemp(prefix="ls-")))
    yield slurm
    slurm.down()


@pytest.fixture(scope="module")
def undisturbed(slurm, tmp_path_factory) -> OnSlurm:
    checkout = OnSlurm(tmp_path_factory.mktemp("undisturbed") / "lectern", slurm)
    checkout.told = checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


@pytest.fixture(scope="module")
def disturbed(slurm, undisturbed, tmp_path_factory) -> OnSlurm:
    """A training from which a more important job takes the nodes, and then one of its own nodes dies."""
    checkout = OnSlurm(tmp_path_factory.mktemp("disturbed") / "lectern", slurm)
    process = checkout.start("dvc", "repro", "evaluate@demo-digits")
    await_that(checkout.saved, process, 1200)
    slurm.ask("sbatch", "--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    await_that(lambda: checkout.log().count("starts on") == 2, process, 1200)
    before = checkout.saved()
    await_that(lambda: checkout.saved() > before, process, 1200)
    slurm.do("fail", "127.0.0.12")
    try:
        checkout.told, _ = process.communicate(timeout=1200)
    finally:
        slurm.do("return", "127.0.0.12")
    assert process.returncode == 0, checkout.told
    return checkout


def test_the_same_repro_trains_on_two_nodes(undisturbed):
    assert "sent as job" in undisturbed.told and "2 x 1 processes" in undisturbed.told
    assert set(STAGES) == set(undisturbed.lock())
    metrics = json.loads((undisturbed / "metrics/demo-digits.json").read_text())
    assert metrics["score"] > metrics["baseline"]


def test_no_setting_of_the_cluster_makes_a_stage_stale(undisturbed):
    (undisturbed / "conf/cluster/another.yaml").write_text(SITE.replace("1500M", "3G"))
    for environment in ({"TRAINER": "laptop", "LAUNCH": ""}, {"TRAINER": "cluster", "CLUSTER": "another"}):
        assert not [stage for stage in undisturbed.stale(**environment) if "other-digits" not in stage]


def test_a_preempted_training_whose_node_then_dies_ends_with_the_same_bytes(disturbed, undisturbed):
    assert "was told to end: it saves" in disturbed.log() and disturbed.log().count("starts on") == 3
    made = [{stage: told["outs"] for stage, told in one.lock().items()} for one in (disturbed, undisturbed)]
    assert made[0] == {stage: made[1][stage] for stage in STAGES[:-1]}
    metrics = [(checkout / "metrics/demo-digits.json").read_bytes() for checkout in (disturbed, undisturbed)]
    assert metrics[0] == metrics[1]


def test_all_its_starts_are_one_run_of_mlflow(disturbed, undisturbed):
    """Written by one process, and no value twice."""
    histories = []
    for checkout in (disturbed, undisturbed):
        client = MlflowClient(checkout.store, checkout.store)
        (run,) = client.search_runs(["1"])
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "validation_loss")
        histories.append(sorted((point.step, point.value) for point in history))
    assert histories[0] == histories[1] and len(histories[0]) == EPOCHS
