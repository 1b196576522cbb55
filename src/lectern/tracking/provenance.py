"""Describe the commit of this checkout and the machine that a run used."""

import os
import platform
import subprocess
from pathlib import Path

from lectern.artifacts.paths import CHECKOUT

ROOT = CHECKOUT  # DVC may run a stage in another folder
RESULTS = ("dvc.lock", "metrics", "reports", "registry")  # committed files that stages and promotions change


def git_commit() -> str:
    """Return the commit, with `-dirty` if files other than results have changed, or `unknown` outside git."""
    commit = git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    excluded = (f":(exclude){path}" for path in RESULTS)
    changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", *excluded)
    return commit + ("-dirty" if changes else "")


def git(*arguments: str) -> str:
    """Return the output of a git command, or an empty string if it fails or git is not installed."""
    try:
        result = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()


def machine() -> str:
    """Describe the hardware that determines speed: system, processor, number of cores and GPU."""
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores{gpu}"


def processor() -> str:
    """Return the name of the processor, if the system provides it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
