"""Run the parts of a stage in separate processes, or in a Slurm job array if LAUNCH is `lectern submit`."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = "pipelines/preprocess_part.py"


def launch_prefix() -> list[str]:
    """Return the words of LAUNCH, which precede the command of a stage. The list is empty if LAUNCH is not set."""
    return shlex.split(os.environ.get("LAUNCH", ""))


def run_parts(task: str, folder: Path, parts: int) -> None:
    """Run all parts of the plan in `folder` and wait for them. Exit with the same code if the command fails."""
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
    """Return the exit code.

    Ctrl-C is ignored, because the terminal also sends it to the process, which cancels its jobs.
    """
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
