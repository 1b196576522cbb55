"""Trainings as jobs of a real Slurm: sent, step_metrics, told to end, gone on with; and what goes wrong, said plainly."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from children import in_child
from lectern.cluster.failures import explain
from lectern.cluster.job_script import Shape
from lectern.cluster.site import Site, read_site
from lectern.cluster.submit import expand, shape_of
from lectern.errors import UserError
from lectern.training import run_lock
from local_slurm import ROOT, LocalSlurm, Login, await_that, begin, ended

WORDS = ["python", "pipelines/train.py"]


# Without a Slurm


def test_a_grid_is_one_command_for_each_choice():
    grid = expand([*WORDS, "-m", "dataset=mnist", "seed=1,2", "model.module.learning_rate=0.1,0.2"])
    assert len(grid) == 4 and [*WORDS, "dataset=mnist", "seed=2", "model.module.learning_rate=0.1"] in grid
    assert expand([*WORDS, "seed=1"]) == [[*WORDS, "seed=1"]]


@pytest.mark.parametrize(
    ("state", "code", "says"),
    [
        ("OUT_OF_MEMORY", "0:125", r"more memory than the job has \(64G a node\)"),
        ("TIMEOUT", "0:0", r"its time limit \(1:00:00\)"),
        ("NODE_FAIL", "1:0", "a node died"),
        ("CANCELLED", "0:0", "it was cancelled"),
        ("FAILED", "0:53", "could not open the log.*share"),
        ("FAILED", "66:0", "not all its nodes see this folder"),
        ("FAILED", "127:0", "did not find srun or python: `setup` in conf/cluster/a.yaml"),
        ("FAILED", "137:0", "was killed.*memory"),
        ("FAILED", "3:0", "exit code 3"),
    ],
)
def test_each_way_of_ending_has_its_sentence(state, code, says):
    told = explain({"JobState": state, "ExitCode": code}, Site(time="1:00:00", memory="64G"), "conf/cluster/a.yaml")
    assert re.search(says, told)


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "conf/cluster").glob("*.yaml")])
def test_every_value_of_a_site_has_a_taker(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert read_site(name)[1].time


def test_the_example_of_kubernetes_is_a_training_that_there_is(monkeypatch):
    monkeypatch.chdir(ROOT)
    job = yaml.safe_load((ROOT / "cluster/kubernetes.yaml").read_text())
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    shape = shape_of([*container["command"], *container["args"]])
    assert shape.nodes == worker["replicas"] and shape.processes == int(job["spec"]["nprocPerNode"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == shape.processes and shape.gpu


def test_without_slurm_a_submission_says_what_to_do(tmp_path, slurmless):
    code, said = ended(slurmless.submit())
    assert code == 1 and "sbatch is not on the PATH" in said and "unset LAUNCH" in said


class Nowhere:
    """A machine without Slurm: nothing but Python is on the PATH."""

    environment = {"PATH": ""}


@pytest.fixture
def slurmless(tmp_path) -> Login:
    return Login(tmp_path / "login", Nowhere())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trainer=gpus"], "devices is -1, but a job has to ask for a number"),
        (
            ["trainer.num_nodes=3"],
            r"batch_size is 128, of all processes together, and the trainer starts 3 (3 nodes x 1)",
        ),
        (["model=digits_cn"], "digits_cnn"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_it_is_sent(slurmless, words, says):
    code, said = ended(slurmless.submit(*words))
    assert code == 1 and says in said


def test_a_site_that_is_not_there_is_answered_with_those_that_are(slurmless):
    code, said = ended(slurmless.submit(CLUSTER="exmaple"))
    assert code == 1 and "did you mean 'example'?" in said


def test_a_time_without_quotes_is_refused(slurmless):
    slurmless.site("test", time="24:00:00")
    code, said = ended(slurmless.submit())
    assert code == 1 and 'put the time in quotes, as "24:00:00"; YAML reads 86400' in said


@pytest.mark.parametrize("words", [["train.py"], ["python", "pipelines/train.sh"]], ids=str)
def test_what_is_no_stage_is_refused(slurmless, words):
    code, said = ended(slurmless.start("lectern", "submit", *words))
    assert code == 1 and "A stage is expected: lectern submit python pipelines/train.py" in said


def test_a_stage_that_trains_nothing_is_one_process(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert shape_of(["python", "pipelines/preprocess.py", "dataset=mnist"]) == Shape(1, 1, gpu=False)


def test_a_lock_that_a_dead_host_has_left_behind_holds_nobody(tmp_path):
    (tmp_path / "run.lock").touch()
    (tmp_path / "run.owner").write_text("process 1 on a host that is gone")
    with run_lock.lock_run_directory(tmp_path / "run"):
        assert str(os.getpid()) in (tmp_path / "run.owner").read_text()


def test_a_training_that_is_held_elsewhere_says_by_whom(tmp_path):
    def hold_too() -> None:
        says = f"is in use.*held by process {os.getppid()} on "
        with pytest.raises(UserError, match=says), run_lock.lock_run_directory(tmp_path / "run"):
            pass

    with run_lock.lock_run_directory(tmp_path / "run"):
        child = in_child(hold_too)
    assert child.code == 0, child.said


# On a Slurm of three nodes


@pytest.fixture(scope="module")
def slurm() -> Iterator[LocalSlurm]:
    """A Slurm that leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    slurm = begin(folder)
    yield slurm
    slurm.down()
    assert not folder.exists()


@pytest.fixture
def login(tmp_path, slurm) -> Login:
    """A user's folder; a test leaves no job behind."""
    yield Login(tmp_path / "login", slurm)
    assert slurm.jobs() == []


@pytest.mark.slurm
def test_a_training_is_a_job_on_as_many_nodes_as_its_trainer_says(login):
    code, said = ended(login.submit())
    assert code == 0, said
    assert "rank 0 of 2 on 127.0.0.11" in said and "rank 1 of 2 on 127.0.0.12" in said
    assert "rank 1 did 5 steps" in said and "is completed" in said


@pytest.mark.slurm
def test_a_training_on_gpus_asks_for_one_for_each_process(login):
    code, said = ended(login.submit("trainer=cluster", "trainer.devices=2"))
    assert code == 0, said
    assert "2 x 2 GPUs" in said and "rank 3 of 4 on 127.0.0.12" in said and said.count("sees GPUs 0,1") == 4


@pytest.mark.slurm
def test_a_grid_is_a_job_array(login):
    code, said = ended(login.submit("-m", "seed=1,2,3,4", "trainer.num_nodes=1"))
    assert code == 0, said
    assert {path.name for path in (login.folder / "runs").glob("x-*")} == {f"x-{seed}-0" for seed in (1, 2, 3, 4)}
    assert said.count("is completed") == 4


@pytest.mark.slurm
def test_a_grid_tells_which_of_its_trainings_failed(login):
    code, said = ended(login.submit("-m", "+fault=no,rank0", "trainer.num_nodes=1"))
    assert code == 1 and said.count("did not end well") == 1 and "_1 of x-" in said.splitlines()[-1]


@pytest.mark.slurm
def test_a_job_told_to_end_saves_and_goes_on_as_often_as_that_happens(login, slurm):
    process = login.submit("+steps=60")
    for start in (1, 2):
        await_that(lambda start=start: login.log().count("rank 1 of 2") == start, process)
        slurm.ask("scancel", "--batch", "--signal=USR1", slurm.jobs()[0])
        await_that(lambda start=start: login.log().count("starts on") > start, process)
    code, said = ended(process)
    assert code == 0, said
    assert said.count("was told to end: it saves") == 2 and said.count("rank 1 saved") == 2
    assert "for the 3. time" in said and said.count("did 60 steps") == 2
    assert said.count("starts at 0") == 2  # of the six starts of a rank: the others go on from their place


@pytest.mark.slurm
def test_a_job_near_its_time_limit_saves_and_goes_on_in_another(login, slurm):
    """Slurm itself tells it, up to a minute earlier than it was asked to."""
    login.site("test", time='"00:02:00"', warning=70)
    code, said = ended(login.submit("+steps=450"))
    assert code == 0, said
    assert "was told to end: it saves" in said and "for the 2. time" in said and said.count("did 450 steps") == 2


@pytest.mark.slurm
def test_a_job_of_higher_priority_takes_the_nodes_and_gives_them_back(login, slurm):
    process = login.submit("+steps=60")
    await_that(lambda: "rank 1 of 2" in login.log(), process)
    slurm.ask("sbatch", "--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    code, said = ended(process)
    assert code == 0, said
    assert "was told to end: it saves" in said and said.count("did 60 steps") == 2 and "for the 2. time" in said
    await_that(lambda: not slurm.jobs(), login.start("sleep", "100"))


@pytest.mark.slurm
def test_a_job_whose_node_dies_is_started_again_elsewhere(login, slurm):
    process = login.submit("+steps=100")
    await_that(lambda: "rank 1 of 2 on 127.0.0.12" in login.log(), process)
    slurm.do("fail", "127.0.0.12")
    try:
        code, said = ended(process)
    finally:
        slurm.do("return", "127.0.0.12")
    assert code == 0, said
    assert "rank 1 of 2 on 127.0.0.13" in said and said.count("did 100 steps") >= 2
    up = ("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N")
    await_that(lambda: len(slurm.ask(*up).split()) == 3, login.start("sleep", "100"))


@pytest.mark.slurm
def test_a_rank_that_fails_ends_the_whole_job(login):
    code, said = ended(login.submit("+steps=3000", "+fault=rank1"))
    assert code == 1 and "rank 1 cannot go on" in said and "did not end well" in said


@pytest.mark.slurm
def test_a_job_that_does_not_listen_goes_on_from_its_last_checkpoint(login, slurm):
    """Told, but deaf: the job asks to be started again shortly before Slurm would end it."""
    login.site("test", warning=2)
    process = login.submit("+steps=150", "+fault=deaf")
    await_that(lambda: "rank 1 of 2" in login.log(), process)
    slurm.ask("scancel", "--batch", "--signal=USR1", slurm.jobs()[0])
    code, said = ended(process)
    assert code == 0, said
    assert "rank 0 saved" not in said and "for the 2. time" in said and "did 150 steps" in said


@pytest.mark.slurm
def test_a_job_that_may_not_start_again_says_so(login, slurm):
    login.site("test", restarts=0)
    process = login.submit("+steps=3000")
    await_that(lambda: "rank 1 of 2" in login.log(), process)
    slurm.ask("scancel", "--batch", "--signal=USR1", slurm.jobs()[0])
    code, said = ended(process)
    assert code == 1 and "was started again 0 times already" in said


@pytest.mark.slurm
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_the_wait_cancels_the_job(login, slurm, how):
    process = login.submit("+steps=3000")
    await_that(lambda: "rank 1 of 2" in login.log(), process)
    os.killpg(process.pid, how)
    code, said = ended(process)
    assert code == 130 and "is cancelled. Run the same again" in said
    await_that(lambda: slurm.jobs() == [], login.start("sleep", "100"))
    assert "waits to go on" not in login.log()  # a cancelled job does not ask to be started again


@pytest.mark.slurm
def test_the_same_command_finds_the_job_of_a_lost_terminal(login, slurm):
    process = login.submit("+steps=100")
    await_that(lambda: "rank 1 of 2" in login.log(), process)
    os.kill(process.pid, signal.SIGHUP)
    process.communicate()
    code, said = ended(login.submit("+steps=100"))
    assert code == 0 and "was sent before and is waited for" in said and said.count("did 100 steps") == 2
    assert login.log().count("starts on") == 1


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("site", "words", "says"),
    [
        ({"partition": "huge"}, [], ["invalid partition specified: huge", "partition=huge", "conf/cluster/test.yaml"]),
        ({"partition": "members", "account": "nobody"}, [], ["account", "account=nobody", "conf/cluster/test.yaml"]),
        ({}, ["trainer.num_nodes=4"], ["asks for 4 nodes", "has 3", "conf/cluster/test.yaml"]),
        ({"memory": "900G"}, [], ["Memory specification can not be satisfied", "mem=900G"]),
        ({}, ["trainer=cluster"], ["node configuration is not available", "gpus-per-node=4"]),
    ],
    ids=["partition", "account", "nodes", "memory", "GPUs"],
)
def test_what_slurm_refuses_is_said_in_its_words_and_with_what_was_asked(login, site, words, says):
    login.site("test", **site)
    code, said = ended(login.submit(*words))
    assert code == 1 and all(word in said for word in says), said


@pytest.mark.slurm
def test_a_job_that_finds_no_srun_says_where_to_tell_it(login):
    login.site("test", setup='["PATH=/nowhere"]')
    code, said = ended(login.submit())
    assert code == 1 and "did not find srun or python: `setup` in conf/cluster/test.yaml" in said, said


@pytest.mark.slurm
def test_a_folder_that_the_nodes_do_not_share_is_found_before_the_training(login, slurm, tmp_path):
    """The first node sees another probe, as it would find none, or an old one, in a folder of its own."""
    process = login.submit()
    await_that(lambda: list((login.folder / "runs/jobs").glob("*.probe")), process)
    next((login.folder / "runs/jobs").glob("*.probe")).write_text("of another time")
    code, said = ended(process)
    assert code == 1 and "does not see" in said and "has to lie in one that they share" in said, said
    assert "rank 0" not in said


@pytest.mark.slurm
def test_when_slurm_is_down_a_submission_says_so(login, slurm, tmp_path):
    config = tmp_path / "slurm.conf"
    text = (slurm.folder / "slurm.conf").read_text()
    config.write_text(text.replace("SlurmctldPort=", "SlurmctldPort=1").replace("MessageTimeout", "#"))
    code, said = ended(login.submit(SLURM_CONF=str(config)))
    assert code == 1 and "Slurm does not answer" in said, said
