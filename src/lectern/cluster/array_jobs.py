"""Run the parts of a stage in separate processes. If LAUNCH is `lectern submit`, a Slurm job array runs them."""

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

    These words are placed before the command of a stage. Raises UserError if LAUNCH has an unclosed quotation mark, or
    if its first word is not a program.
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
    """Run all parts of the plan in `folder` and wait for them. If the command fails, exit with its exit code."""
    numbers = ",".join(map(str, range(parts)))
    command = [sys.executable, SCRIPT, "-m", f"task={task}", f"folder={folder}", f"part={numbers}"]
    process = subprocess.Popen([*launch_prefix(), *command])
    handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = wait_for_exit(process)
    finally:
        signal.signal(signal.SIGTERM, handler)
    if code:
        sys.exit(code)  # The command has already printed the reason.


def wait_for_exit(process: subprocess.Popen[bytes]) -> int:
    """Wait for the process and return its exit code.

    Ctrl-C is ignored here, because the terminal also sends the signal to the process, and the process cancels its jobs.
    """
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
