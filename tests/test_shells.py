"""Test that every stage works in each shell and with every value of LAUNCH.

DVC runs the command of a stage in the user's shell.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.stage.run import _make_cmd

from checkout import STAGES, Checkout
from children import in_child, run_lectern
from lectern.cluster.array_jobs import launch_prefix
from lectern.errors import UserError
from test_dvc_yaml import ALL_STAGES, EXPANDED

SHELLS = ("bash", "dash", "zsh", "fish", "tcsh")
# maps each value of LAUNCH to the value of the variable A in the training
LAUNCHES = {"": "", "env 'A=two words'": "two words"}


def find_shell(name: str) -> str:
    """Return the path of a shell. Skip the test if it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {name})")
    return path


def run_in_shell(shell: str, command: str, folder: Path, **environment: str) -> tuple[int, str]:
    """Run a command in a shell, as DVC does.

    Return the exit code and the output. The fake `python` prints A and its arguments.
    """
    python = folder / "python"
    python.write_text('#!/bin/sh\nprintf "%s|%s\\n" "$A" "$*"\n')
    python.chmod(0o755)
    (folder / "lectern").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import lectern.cli as c; c.main()" "$@"\n')
    (folder / "lectern").chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if name not in ("LAUNCH", "A")}
    path = os.pathsep.join([str(folder), "/usr/bin", "/bin"])
    result = subprocess.run(
        _make_cmd(shell, command), env={**inherited, "PATH": path, **environment}, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return result.returncode, result.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_passes_the_arguments_of_every_stage(shell, tmp_path):
    shell = find_shell(shell)
    trainings = [stage for name in ("train", "pre_train", "fine_tune") for stage in EXPANDED[name]]
    others = [stage["cmd"] for stage in ALL_STAGES if stage not in trainings]
    for command in others:
        code, output = run_in_shell(shell, command, tmp_path)
        assert (code, output) == (0, f"|{command.removeprefix('python ')}\n"), command


@pytest.mark.parametrize("launch", ["", "env 'A=two words'"])
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_puts_launch_in_front_of_a_training(shell, launch, tmp_path):
    command = " ".join(EXPANDED["train"][0]["cmd"].split())
    environment = {"LAUNCH": launch} if launch else {}
    code, output = run_in_shell(find_shell(shell), command, tmp_path, **environment)
    arguments = command.removeprefix("lectern launch python ")
    assert (code, output) == (0, f"{LAUNCHES[launch]}|{arguments}\n")
    assert arguments.startswith("pipelines/train.py dataset=")


@pytest.mark.faults
# All other pipeline tests run in bash or dash, so this test leaves out these shells.
@pytest.mark.parametrize("shell", SHELLS[2:])
def test_every_stage_of_the_pipeline_runs_in_every_shell(shell, tmp_path):
    """A different LAUNCH makes no stage stale. A forced training then calls `lectern submit`, which needs Slurm."""
    checkout = Checkout(tmp_path / "lectern")
    environment = {"SHELL": find_shell(shell), "LAUNCH": "env A=b"}
    output = checkout.do("dvc", "repro", "register@demo-digits", **environment)
    assert all(f"Running stage '{stage}'" in output for stage in STAGES)
    environment["LAUNCH"] = "lectern submit"
    assert checkout.stale(**environment) & set(STAGES) == set()
    # This PATH contains Slurm only if Slurm is in /bin.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), "/bin"])
    if not shutil.which("sbatch", path=environment["PATH"]):
        code, output = checkout.run("dvc", "repro", "--force", "--single-item", "train@demo-digits", **environment)
        assert code != 0 and "sbatch is not on the PATH" in output


@pytest.mark.parametrize(
    ("launch", "found"),
    [
        ("no-such-program -n 4", "there is no program 'no-such-program'"),
        ("A=b", "no program 'A=b'"),
        ("a 'b", "quotation"),
    ],
)
def test_a_launch_that_is_no_command_is_reported(launch, found, monkeypatch):
    monkeypatch.setenv("LAUNCH", launch)
    with pytest.raises(UserError, match=rf'LAUNCH is .*{found}.*Expected a command .* LAUNCH="lectern submit"'):
        launch_prefix()


def test_a_missing_program_is_reported(monkeypatch):
    monkeypatch.delenv("LAUNCH", raising=False)
    ended = in_child(run_lectern, "launch", "no-such-python", "pipelines/train.py")
    assert ended.code == 1 and ended.said.startswith("lectern: There is no program 'no-such-python' on the PATH")


def test_a_launched_command_does_not_ignore_the_signals_that_python_ignores(monkeypatch):
    monkeypatch.delenv("LAUNCH", raising=False)
    ended = in_child(run_lectern, "launch", "grep", "SigIgn", "/proc/self/status")
    # This bit of the mask belongs to signal 13, SIGPIPE.
    assert ended.code == 0 and int(ended.said.split()[1], 16) & 0b1000000000000 == 0
