"""Prepare the parts of a dataset in separate processes.

If LAUNCH is `lectern submit`, a Slurm job array prepares the parts.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lectern.errors import UserError

SCRIPT = "pipelines/preprocess_part.py"


def launch_prefix() -> list[str]:
    """Return the environment variable LAUNCH as a list of shell words. The list is empty if LAUNCH is not set.

    Lectern puts the words of LAUNCH before the command of a stage. Raises UserError if LAUNCH has an unclosed quotation
    mark, or if the first word of LAUNCH is not a program.
    """
    launch = os.environ.get("LAUNCH", "")
    expected = (
        'Expected a command that starts another command, such as LAUNCH="lectern submit" or LAUNCH="env NAME=value".'
    )
    try:
        words = shlex.split(launch)
    except ValueError as error:
        raise UserError(f"LAUNCH is {launch!r}: {error}. {expected}") from error
    if words and shutil.which(words[0]) is None:
        raise UserError(f"LAUNCH is {launch!r}, but there is no program {words[0]!r} on the PATH. {expected}")
    return words


def run_parts(task: str, folder: Path, parts: int) -> None:
    """Prepare all parts of the plan in `folder` and wait until all parts are prepared.

    If the command that prepares the parts fails, exit with the exit code of this command.
    """
    numbers = ",".join(map(str, range(parts)))
    command = [sys.executable, SCRIPT, "-m", f"task={task}", f"folder={folder}", f"part={numbers}"]
    process = subprocess.Popen([*launch_prefix(), *command])
    handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = wait_for_exit(process)
    finally:
        signal.signal(signal.SIGTERM, handler)
    if code:
        sys.exit(code)  # the command has already printed its error message


def wait_for_exit(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended, and return the exit code of the process.

    Ctrl-C does not end the wait. After Ctrl-C, the terminal also sends SIGINT to the process. The process then cancels
    its Slurm jobs and ends.
    """
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
