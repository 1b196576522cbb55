"""Run DVC commands in the current folder."""

import json
import subprocess
import sys
from typing import Any

from lectern.errors import UserError


def run_dvc(*arguments: str) -> str:
    """Return the output of a DVC command. Raises UserError with the message of DVC if the command fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed: {done.stderr.strip() or 'DVC printed no message.'}")
    return done.stdout


def read_dvc_json(*arguments: str) -> Any:
    """Return the JSON that a DVC command with the option `--json` prints, or an empty dict if it prints nothing."""
    output = run_dvc(*arguments, "--json").strip()
    return json.loads(output) if output else {}
