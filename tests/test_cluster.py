"""Test trainings as Slurm jobs: checks before the submission, requeueing, resuming, cancelling and error messages."""

import os
import re
import signal
from collections.abc import Iterator

import pytest

from children import in_child
from lectern.cluster.failures import FAILED_STATES, explain_failure
from lectern.cluster.job_script import JobSize
from lectern.cluster.site import Site, read_site
from lectern.cluster.submit import expand_grid, required_job_size
from lectern.cluster.watch import describe_state
from lectern.errors import UserError
from lectern.training import run_lock
from local_slurm import ROOT, LocalSlurm, LoginNode, finish, slurm, wait_until

__all__ = ["slurm"]  # imported because it is a fixture

TRAIN = ["python", "pipelines/train.py"]


# Without Slurm


def test_a_grid_becomes_one_command_per_combination():
    grid = expand_grid([*TRAIN, "-m", "dataset=mnist", "seed=1,2", "model.module.learning_rate=0.1,0.2"])
    assert len(grid) == 4 and [*TRAIN, "dataset=mnist", "seed=2", "model.module.learning_rate=0.1"] in grid
    assert expand_grid([*TRAIN, "seed=1"]) == [[*TRAIN, "seed=1"]]


FAILURES = {  # maps (state, exit code) of a job to the expected explanation
    ("BOOT_FAIL", "0:0"): "nodes of the job did not start.*Contact the administrators",
    ("CANCELLED", "0:0"): "an administrator cancelled the job.*Run the same command again",
    ("DEADLINE", "0:0"): "stopped the job at its deadline.*--deadline under `sbatch` in conf/cluster/a.yaml",
    ("NODE_FAIL", "1:0"): "a node of the job failed.*Run the same command again",
    ("OUT_OF_MEMORY", "0:125"): r"more memory per node than requested \(64G\).*`memory` in conf/cluster/a.yaml",
    ("PREEMPTED", "0:0"): "higher priority took the nodes.*Run the same command again",
    ("TIMEOUT", "0:0"): r"its time limit \(1:00:00\).*`time` in conf/cluster/a.yaml.*`warning` \(120 s\)",
    ("FAILED", "0:53"): "could not open the log file.*folder that all nodes share",
    ("FAILED", "66:0"): "cannot read the checkout.*folder that all nodes share",
    ("FAILED", "127:0"): "did not find srun or python.*`setup` in conf/cluster/a.yaml",
    ("FAILED", "137:0"): "was killed.*`memory` in conf/cluster/a.yaml",
    ("FAILED", "0:9"): "was killed.*`memory` in conf/cluster/a.yaml",
    ("FAILED", "3:0"): "exit code 3.*the log",
    ("FAILED", ""): "exit code unknown.*end of the log",
}


def test_every_failed_state_is_tested():
    assert {state for state, _ in FAILURES} == set(FAILED_STATES)


@pytest.mark.parametrize(("state", "code"), FAILURES, ids=str)
def test_each_failure_is_explained_with_a_remedy(state, code):
    record = {"JobState": state, "ExitCode": code}
    explanation = explain_failure(record, Site(time="1:00:00", memory="64G"), "conf/cluster/a.yaml")
    assert re.search(FAILURES[state, code], explanation)
    others = [text for key, text in FAILURES.items() if text != FAILURES[state, code]]
    assert not any(re.search(text, explanation) for text in others)


@pytest.mark.parametrize(
    ("record", "description"),
    [
        ({"JobState": "PENDING", "Reason": "None"}, "PENDING"),
        ({"JobState": "PENDING", "Reason": "Priority"}, "PENDING (reason: Priority)"),
        ({"JobState": "PENDING", "Reason": "BeginTime", "Restarts": "2"}, "PENDING (reason: BeginTime, restart 2)"),
        ({"JobState": "RUNNING", "NodeList": "node[1-2]"}, "RUNNING on node[1-2]"),
        ({"JobState": "NODE_FAIL"}, "NODE_FAIL"),
    ],
    ids=str,
)
def test_a_state_is_described_with_its_reason_or_its_nodes(record, description):
    assert describe_state(record) == description


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "conf/cluster").glob("*.yaml")])
def test_every_site_file_is_valid(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert read_site(name)[1].time


@pytest.fixture
def login_without_slurm(tmp_path) -> LoginNode:
    """Return a login node whose PATH contains only Python."""
    return LoginNode(tmp_path / "login", {"PATH": ""})


def test_without_slurm_the_error_says_what_to_do(login_without_slurm):
    code, output = finish(login_without_slurm.submit())
    assert code == 1 and "sbatch is not on the PATH" in output and "unset LAUNCH" in output


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer=gpus"], "devices is -1, but a Slurm job needs a number"),
        (["trainer.num_nodes=3"], "batch_size 128 is not divisible by 3 processes (3 nodes x 1)"),
        (["model=digits_cn"], "digits_cnn"),
    ],
    ids=str,
)
def test_an_invalid_config_is_rejected_before_the_submission(login_without_slurm, overrides, message):
    code, output = finish(login_without_slurm.submit(*overrides))
    assert code == 1 and message in output


def test_an_unknown_site_is_reported_with_the_nearest_name(login_without_slurm):
    code, output = finish(login_without_slurm.submit(CLUSTER="exmaple"))
    assert code == 1 and "did you mean 'example'?" in output


def test_a_time_limit_without_quotes_is_rejected(login_without_slurm):
    login_without_slurm.write_site(time="24:00:00")
    code, output = finish(login_without_slurm.submit())
    assert (
        code == 1
        and 'put the value of `time` in quotes, such as "24:00:00"' in output
        and "YAML reads the value as the number 86400" in output
    )


@pytest.mark.parametrize("command", [["train.py"], ["python", "pipelines/train.sh"]], ids=str)
def test_a_command_that_is_no_stage_is_rejected(login_without_slurm, command):
    code, output = finish(login_without_slurm.start("lectern", "submit", *command))
    assert code == 1 and "such as: lectern submit python pipelines/train.py" in output


def test_a_stage_without_a_trainer_needs_one_process(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert required_job_size(["python", "pipelines/preprocess.py", "dataset=mnist"]) == JobSize(1, 1, gpu=False)


def test_the_lock_file_of_a_dead_host_does_not_block_a_training(tmp_path):
    (tmp_path / "run.lock").touch()
    (tmp_path / "run.owner").write_text("process 1 on a dead host")
    with run_lock.lock_run_directory(tmp_path / "run"):
        assert str(os.getpid()) in (tmp_path / "run.owner").read_text()


def test_a_locked_run_folder_is_reported_with_the_process_that_locked_it(tmp_path):
    def lock_again() -> None:
        message = rf"is in use.*process {os.getppid()} on "
        with pytest.raises(UserError, match=message), run_lock.lock_run_directory(tmp_path / "run"):
            pass

    with run_lock.lock_run_directory(tmp_path / "run"):
        child = in_child(lock_again)
    assert child.code == 0, child


# On a Slurm cluster with three nodes


@pytest.fixture
def login(tmp_path, slurm) -> Iterator[LoginNode]:
    """Yield a user's folder on a login node, and check afterwards that no job is left."""
    yield LoginNode(tmp_path / "login", slurm.environment)
    assert slurm.job_ids() == []


def send_stop_signal(slurm: LocalSlurm) -> None:
    """Send the stop signal that Slurm sends before the time limit to the first job."""
    slurm.query("scancel", "--batch", "--signal=USR1", slurm.job_ids()[0])


@pytest.mark.slurm
def test_a_training_runs_on_the_nodes_of_its_trainer(login):
    code, output = finish(login.submit())
    assert code == 0, output
    assert "rank 0 of 2 on 127.0.0.11" in output and "rank 1 of 2 on 127.0.0.12" in output
    assert "rank 1 finished 5 steps" in output and "is COMPLETED" in output


@pytest.mark.slurm
def test_a_training_on_gpus_requests_one_gpu_per_process(login):
    code, output = finish(login.submit("trainer=cluster", "trainer.devices=2"))
    assert code == 0, output
    assert "2 x 2 GPUs" in output and "rank 3 of 4 on 127.0.0.12" in output and output.count("has GPUs 0,1") == 4


@pytest.mark.slurm
def test_a_grid_becomes_a_job_array(login):
    code, output = finish(login.submit("-m", "seed=1,2,3,4", "trainer.num_nodes=1", out="models/x-${seed}"))
    assert code == 0, output
    assert {path.name for path in (login.folder / "runs").glob("x-*")} == {f"x-{seed}-0" for seed in (1, 2, 3, 4)}
    assert output.count("is COMPLETED") == 4


@pytest.mark.slurm
def test_the_failed_training_of_a_grid_is_named(login):
    code, output = finish(login.submit("-m", "+fault=none,rank0", "trainer.num_nodes=1", out="models/x-${fault}"))
    assert code == 1 and output.count(" failed: the command") == 1 and "_1 of x-" in output.splitlines()[-1]


@pytest.mark.slurm
def test_a_job_saves_and_resumes_after_each_stop_signal(login, slurm):
    process = login.submit("+steps=60")
    for start in (1, 2):
        wait_until(lambda start=start: login.read_logs().count("rank 1 of 2") == start, process)
        send_stop_signal(slurm)
        wait_until(lambda start=start: login.read_logs().count("starts on") > start, process)
    code, output = finish(process)
    assert code == 0, output
    assert output.count("received the stop signal") == 2 and output.count("rank 1 saved") == 2
    assert "(restart 2)" in output and output.count("finished 60 steps") == 2
    # Only the first start of each of the two ranks begins at step 0. The other four starts resume.
    assert output.count("starts at step 0") == 2


@pytest.mark.slurm
@pytest.mark.nightly
def test_a_job_near_its_time_limit_saves_and_is_requeued(login, slurm):
    """Slurm itself sends the stop signal, up to a minute earlier than the job script requests."""
    login.write_site(time='"00:02:00"', warning=70)
    code, output = finish(login.submit("+steps=900"))
    assert code == 0, output
    assert "received the stop signal" in output and "(restart 1)" in output
    assert output.count("starts at step 0") == 2  # Only the first start of each of the two ranks begins at step 0.
    assert "rank 0 finished 900 steps" in output and "rank 1 finished 900 steps" in output


@pytest.mark.slurm
def test_a_preempted_job_saves_and_resumes(login, slurm):
    process = login.submit("+steps=60")
    wait_until(lambda: "rank 1 of 2" in login.read_logs(), process)
    slurm.submit_urgent_job()
    code, output = finish(process)
    assert code == 0, output
    assert "received the stop signal" in output and output.count("finished 60 steps") == 2 and "(restart 1)" in output
    wait_until(lambda: not slurm.job_ids())


@pytest.mark.slurm
@pytest.mark.nightly
def test_a_job_resumes_on_another_node_after_a_node_failure(login, slurm):
    process = login.submit("+steps=100")
    wait_until(lambda: "rank 1 of 2 on 127.0.0.12" in login.read_logs(), process)
    slurm.control("fail", "127.0.0.12")
    try:
        code, output = finish(process)
    finally:
        slurm.control("return", "127.0.0.12")
    assert code == 0, output
    assert "rank 1 of 2 on 127.0.0.13" in output and output.count("finished 100 steps") >= 2
    idle_nodes = ("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N")
    wait_until(lambda: len(slurm.query(*idle_nodes).split()) == 3)


@pytest.mark.slurm
def test_a_failed_rank_ends_the_complete_job(login):
    code, output = finish(login.submit("+steps=3000", "+fault=rank1"))
    assert code == 1 and "lectern: rank 1 failed" in output and "failed: the command of the job ended" in output


@pytest.mark.slurm
@pytest.mark.nightly
def test_a_training_that_ignores_the_signal_resumes_from_its_last_checkpoint(login, slurm):
    """If a training ignores the stop signal, the job script requeues the job shortly before the time limit."""
    login.write_site(warning=2)
    process = login.submit("+steps=150", "+fault=ignore_signals")
    wait_until(lambda: "rank 1 of 2" in login.read_logs(), process)
    send_stop_signal(slurm)
    code, output = finish(process)
    assert code == 0, output
    assert "rank 0 saved" not in output and "(restart 1)" in output and "finished 150 steps" in output


@pytest.mark.slurm
def test_a_job_at_its_limit_of_restarts_is_not_requeued(login, slurm):
    login.write_site(restarts=0)
    process = login.submit("+steps=3000")
    wait_until(lambda: "rank 1 of 2" in login.read_logs(), process)
    send_stop_signal(slurm)
    code, output = finish(process)
    assert code == 1 and "is not requeued: it was restarted 0 times" in output


@pytest.mark.slurm
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_cancels_its_job(login, slurm, signal_number):
    process = login.submit("+steps=3000")
    wait_until(lambda: "rank 1 of 2" in login.read_logs(), process)
    os.killpg(process.pid, signal_number)
    code, output = finish(process)
    assert code == 130 and "interrupted; cancelling job" in output
    wait_until(lambda: slurm.job_ids() == [])
    assert "is requeued" not in login.read_logs()


@pytest.mark.slurm
@pytest.mark.nightly
def test_the_same_command_finds_its_job_after_the_terminal_is_lost(login, slurm):
    process = login.submit("+steps=300")
    wait_until(lambda: "rank 1 of 2" in login.read_logs(), process)
    os.kill(process.pid, signal.SIGHUP)
    process.communicate()
    code, output = finish(login.submit("+steps=300"))
    assert code == 0 and "is already active; waiting until" in output and output.count("finished 300 steps") == 2
    assert login.read_logs().count("starts on") == 1


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("settings", "overrides", "messages"),
    [
        ({"partition": "huge"}, [], ["invalid partition specified: huge", "partition=huge", "conf/cluster/test.yaml"]),
        ({"partition": "members", "account": "nobody"}, [], ["account", "account=nobody", "conf/cluster/test.yaml"]),
        ({}, ["trainer.num_nodes=4"], ["requests 4 nodes", "has 3", "conf/cluster/test.yaml"]),
        ({"memory": "900G"}, [], ["Memory specification can not be satisfied", "mem=900G"]),
        ({}, ["trainer=cluster"], ["node configuration is not available", "gpus-per-node=4"]),
    ],
    ids=["partition", "account", "nodes", "memory", "GPUs"],
)
def test_a_job_that_slurm_rejects_is_reported_with_its_message_and_the_request(login, settings, overrides, messages):
    login.write_site(**settings)
    code, output = finish(login.submit(*overrides))
    assert code == 1 and all(message in output for message in messages), output


@pytest.mark.slurm
def test_a_missing_srun_is_explained(login):
    login.write_site(setup='["PATH=/nowhere"]')
    code, output = finish(login.submit())
    assert code == 1 and "did not find srun or python" in output and "`setup` in conf/cluster/test.yaml" in output


@pytest.mark.slurm
def test_a_folder_that_the_nodes_do_not_share_is_detected_before_the_training(login, slurm, tmp_path):
    """The token in the probe file is wrong, as if the node read another folder with the same path."""
    process = login.submit()
    wait_until(lambda: list((login.folder / "runs/jobs").glob("*.probe")), process)
    next((login.folder / "runs/jobs").glob("*.probe")).write_text("another token")
    code, output = finish(process)
    assert code == 1 and "does not share" in output and "cannot read the checkout" in output, output
    assert "rank 0" not in output


@pytest.mark.slurm
@pytest.mark.nightly
def test_an_unavailable_slurm_controller_is_reported(login, slurm, tmp_path):
    config = tmp_path / "slurm.conf"
    text = (slurm.folder / "slurm.conf").read_text()
    config.write_text(text.replace("SlurmctldPort=", "SlurmctldPort=1").replace("MessageTimeout", "#"))
    code, output = finish(login.submit(SLURM_CONF=str(config)))
    assert code == 1 and "Slurm does not respond" in output, output
