"""Run the command of a stage with the value of the environment variable LAUNCH as a prefix."""

import os
import shutil
import signal
import sys

from lectern.cluster.array_jobs import launch_prefix
from lectern.errors import UserError

# Python ignores SIGPIPE and SIGXFSZ. A program that `os.execv` starts would also ignore both signals.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def launch(command: list[str]) -> None:
    """Replace this process by a command with the value of LAUNCH as a prefix.

    Lectern splits LAUNCH into words, so the shell of the user does not matter. Raises UserError if LAUNCH is invalid or
    if the program does not exist.
    """
    words = [*launch_prefix(), *command]
    program = shutil.which(words[0])
    if program is None:
        raise UserError(f"There is no program {words[0]!r} on the PATH. Activate the virtual environment first.")
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    os.execv(program, words)
