"""Replace this process by the command of a stage, preceded by the words of LAUNCH."""

import os
import shutil
import signal
import sys

from lectern.cluster.array_jobs import launch_prefix
from lectern.errors import UserError

IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # a program that replaces Python would ignore them too


def launch(command: list[str]) -> None:
    """Run a command, preceded by the words of LAUNCH. No shell expands LAUNCH, so every shell does the same.

    Raises UserError if LAUNCH is wrong or if there is no such program.
    """
    words = [*launch_prefix(), *command]
    program = shutil.which(words[0])
    if program is None:
        raise UserError(f"There is no program {words[0]!r} on the PATH. Activate the virtual environment first.")
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    os.execv(program, words)
