"""Replace this process by the command of a stage. The words of LAUNCH are placed before this command."""

import os
import shutil
import signal
import sys

from lectern.cluster.array_jobs import launch_prefix
from lectern.errors import UserError

# Python ignores these signals, and a program that replaces Python would ignore them too.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def launch(command: list[str]) -> None:
    """Run a command with the words of LAUNCH before it.

    No shell expands LAUNCH, so the result is the same in every shell. Raises UserError if LAUNCH is invalid or if the
    program does not exist.
    """
    words = [*launch_prefix(), *command]
    program = shutil.which(words[0])
    if program is None:
        raise UserError(f"There is no program {words[0]!r} on the PATH. Activate the virtual environment first.")
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    os.execv(program, words)
