"""Test jobs with special characters in paths, overrides and site files, and with Slurm's variables in the environment.

bash and sbatch give some characters a meaning, such as blanks, quotation marks, `$`, `#` and `%`.
"""

import os
import shlex
import signal
from collections.abc import Iterator

import pytest

from lectern.cluster import slurm as slurm_commands
from lectern.cluster.job_script import JobSize, quote_option, write_job_script
from lectern.cluster.site import Site
from lectern.cluster.submit import job_name, submit
from lectern.errors import UserError
from local_slurm import ROOT, LoginNode, finish, slurm, wait_until

__all__ = ["slurm"]  # imported because it is a fixture
SPECIAL = "a $(touch hacked) 'b' \"c\" #e 100%j %% `f` é JobState=FAILED"
NOTE = 'it\'s "$HOME" # `x` %j \\ é\n second line'
# variables that a user can set, and variables that Slurm sets in an allocation
VARIABLES = {
    "SBATCH_EXPORT": "NONE",
    "SBATCH_JOB_NAME": "another",
    "SBATCH_PARTITION": "urgent",
    "SBATCH_OUTPUT": "elsewhere.log",
    "SRUN_EXPORT_ENV": "NONE",
    "SLURM_EXPORT_ENV": "NONE",
    "SLURM_JOB_ID": "1",
    "SLURM_NTASKS": "1",
    "SLURM_NNODES": "1",
    "SLURM_DISTRIBUTION": "plane",
    "SQUEUE_PARTITION": "urgent",
    "SINFO_PARTITION": "missing",
    "SCANCEL_INTERACTIVE": "1",
    "SCANCEL_STATE": "PENDING",
}


# Without Slurm


@pytest.mark.parametrize(
    "out", ["runs/a%j", "runs/a b", "runs/a,b", "runs/é", "runs/-x", "models/x/", "", "/", "a" * 300]
)
def test_a_job_name_contains_no_character_with_a_meaning_to_slurm(out):
    name = job_name([["python", "pipelines/train.py", f"out={out}"]])
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-") and name[0].isalpha() | (name[0] == "_")
    assert len(name) < 150


def test_commands_with_equal_readable_names_have_different_job_names():
    names = {job_name([["python", "pipelines/train.py", f"out=runs/a{sign}"]]) for sign in "%#_"}
    assert len(names) == 3


def test_each_word_of_a_site_is_one_option_of_sbatch():
    words = ["--comment=my job", "--exclude=a,b", "#x", "it's", 'a"b', "c\\d"]
    assert [shlex.split(quote_option(word), posix=True) for word in words] == [[word] for word in words]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sbatch": '["--comment=a\\nb"]'}, "sbatch contains '--comment=a\\nb'; expected a text without line breaks"),
        ({"account": '"a\\nb"'}, "account contains 'a\\nb'; expected a text without line breaks"),
        ({"poll": -1}, "poll is -1; expected a number greater than 0"),
        ({"restarts": -1}, "restarts is -1; expected a number greater than or equal to 0"),
        ({"warning": 0}, "warning is 0; expected a number greater than 0"),
        ({"cpus_per_process": 0}, "cpus_per_process is 0; expected a number greater than 0"),
    ],
    ids=str,
)
def test_an_invalid_setting_of_a_site_is_rejected_before_the_submission(tmp_path, settings, message):
    login = LoginNode(tmp_path / "login", {"PATH": ""})
    login.write_site(**settings)
    code, output = finish(login.submit())
    assert code == 1 and f"conf/cluster/test.yaml: {message}" in output, output


def test_a_job_script_with_its_final_name_is_complete(tmp_path, monkeypatch):
    """A script that is replaced while the disk is full stays complete."""
    path, size = tmp_path / "x.sh", JobSize(1, 1, gpu=False)
    write_job_script(path, "x", [["python", "é\udcff"]], size, Site(time="1:00:00"), "token")
    complete = path.read_bytes()
    assert b"\xff" in complete
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "fsencode", lambda _: (_ for _ in ()).throw(OSError("no space")))
        write_job_script(path, "x", [["python"]], size, Site(time="1:00:00"), "token")
    assert path.read_bytes() == complete and {each.name for each in tmp_path.iterdir()} == {"x.sh", "x.probe"}


def test_a_folder_to_which_slurm_cannot_write_logs_is_rejected(tmp_path):
    path = tmp_path / "a\\b" / "x.sh"
    with pytest.raises(UserError, match="contains a backslash or a line break.* Rename the folder"):
        write_job_script(path, "x", [["python"]], JobSize(1, 1, gpu=False), Site(time="1:00:00"), "token")


def test_slurm_receives_the_variables_that_select_a_cluster_and_no_options(monkeypatch):
    for name in (*VARIABLES, "SLURM_CONF", "SLURM_CLUSTERS", "SLURMX", "OTHER"):
        monkeypatch.setenv(name, "x")
    environment = slurm_commands.slurm_environment()
    assert (
        not VARIABLES.keys() & environment and {"SLURM_CONF", "SLURM_CLUSTERS", "SLURMX", "OTHER"} <= environment.keys()
    )
    assert {"SBATCH_EXPORT", "SRUN_EXPORT_ENV"} <= set(slurm_commands.list_ignored_variables())


def test_a_grid_that_would_write_one_model_folder_is_refused_before_it_is_submitted(monkeypatch):
    monkeypatch.chdir(ROOT)
    command = ["python", "pipelines/train.py", "-m", "dataset=sample_digits", "model=digits_cnn", "seed=1,2"]
    with pytest.raises(
        UserError, match=r"All 2 commands of the grid would write out=models/x.*out=runs/seed-\$\{seed\}"
    ):
        submit([*command, "out=models/x"])


# On a Slurm cluster with three nodes


@pytest.fixture
def login(tmp_path, slurm) -> Iterator[LoginNode]:
    """Yield a folder whose path has special characters, and check that no job is left and no text was run as code."""
    login = LoginNode(tmp_path / SPECIAL, slurm.environment)
    yield login
    assert slurm.job_ids() == [] and not list(tmp_path.rglob("hacked"))


@pytest.mark.slurm
def test_a_job_with_special_characters_and_variables_runs_and_is_found_by_the_same_command(login, slurm):
    login.write_site(sbatch='["--comment=my job # 5", "-D", "."]', setup="[\"export SET='a b'\"]")
    override = "+note='\\'a b\\' $HOME # %j \"c\" é'"
    training = ("+steps=60", "out='runs/a b%j $(touch hacked)'", override)
    process = login.submit(*training, **VARIABLES, NOTE=NOTE)
    logs = login.folder / "runs/jobs"
    wait_until(lambda: any("rank 1 of 2" in path.read_text() for path in logs.glob("*.log")), process)
    assert slurm.query("squeue", "-h", "-o", "%P %k") == "main my job # 5"
    os.kill(process.pid, signal.SIGHUP)
    first_output, _ = process.communicate()
    code, output = finish(login.submit(*training, **VARIABLES, NOTE=NOTE))
    assert code == 0 and "is already active; waiting until" in output, output
    assert output.count("finished 60 steps") == 2 and output.count(f"the note {NOTE!r}") == 2
    assert f"the override {override.removeprefix('+note=')!r}" in output
    (log,) = logs.glob("*.log")
    assert f"log: runs/jobs/{log.name}" in first_output and log.read_text().count("starts on") == 1
    assert "SBATCH_EXPORT, SBATCH_JOB_NAME, SBATCH_OUTPUT, SBATCH_PARTITION, SRUN_EXPORT_ENV ignored" in output


@pytest.mark.slurm
def test_a_grid_with_special_characters_is_a_job_array_that_ctrl_c_cancels(login, slurm):
    grid = ("-m", "+steps=3000", "seed=1,2", "trainer.num_nodes=1", "out='runs/a b%A'")
    process = login.submit(*grid, **VARIABLES)
    logs = login.folder / "runs/jobs"
    wait_until(lambda: sum("rank 0 of 1" in path.read_text() for path in logs.glob("*.log")) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    code, output = finish(process)
    assert code == 130 and "a_b_A-" in output and "_*.log" in output and "interrupted; cancelling job" in output, output
    wait_until(lambda: slurm.job_ids() == [])


@pytest.mark.slurm
def test_setup_can_make_programs_available_to_a_job_without_the_environment_of_the_user(login):
    path = login.environment["PATH"]
    for setup, expected in (
        ("PATH=/nowhere", "did not find srun or python"),
        (f"export PATH='{path}'", "is COMPLETED"),
    ):
        login.write_site(sbatch='["--export=NONE"]', setup=f'["{setup}"]')
        code, output = finish(login.submit("trainer.num_nodes=1"))
        assert expected in output and "does not share" not in output and (code == 0) == ("export" in setup), output
