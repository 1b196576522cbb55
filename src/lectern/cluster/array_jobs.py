"""The parts of a stage to processes that LAUNCH starts: with `lectern submit` an array of jobs, waited for."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = "pipelines/preprocess_part.py"


def launch() -> list[str]:
    """The words that LAUNCH puts before a command; none where it is not set."""
    return shlex.split(os.environ.get("LAUNCH", ""))


def make_elsewhere(task: str, folder: Path, parts: int) -> None:
    """Return when all parts of what is planned in `folder` are made. Ends this process where one cannot be."""
    numbers = ",".join(map(str, range(parts)))
    words = [sys.executable, SCRIPT, "-m", f"task={task}", f"folder={folder}", f"part={numbers}"]
    process = subprocess.Popen([*launch(), *words])
    handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = wait(process)
    finally:
        signal.signal(signal.SIGTERM, handler)
    if code:
        sys.exit(code)  # it has said why


def wait(process: subprocess.Popen) -> int:
    """How it ended. A terminal's Ctrl-C has reached it too: it cancels what it has sent."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
