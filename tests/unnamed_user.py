"""Run a command as a user who has no name, and who may read every file but may not write any file."""

import os
import shutil
import subprocess
import sys

import pytest

# The capability lets the user read Python and the temporary folders of the tests, which may belong to root only.
READ_ALL = "+dac_read_search"
AS_UNNAMED_USER = (
    "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups",
    f"--inh-caps={READ_ALL}", f"--ambient-caps={READ_ALL}",
)  # fmt: skip
NAMES = ("USER", "LOGNAME", "LNAME", "USERNAME", "LECTERN_USER")


def run_unnamed(code: str, *arguments: str) -> tuple[int, str]:
    """Run Python code with arguments as the unnamed user.

    Return the exit code and the output. Skip the test if the machine cannot run code as this user.
    """
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root with setpriv (Debian: util-linux) can become another user")
    # Coverage is off, because the user cannot write the files of coverage.
    environment = {name: value for name, value in os.environ.items() if name not in NAMES and "COVERAGE" not in name}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": "/nonexistent", "COLUMNS": "300"}
    result = subprocess.run(
        [*AS_UNNAMED_USER, sys.executable, "-c", code, *arguments], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return result.returncode, result.stdout


def lectern_unnamed(*words: str) -> tuple[int, str]:
    """Run `lectern <words>` as the unnamed user."""
    return run_unnamed("from lectern.cli import main; main()", *words)
