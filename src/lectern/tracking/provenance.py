"""This checkout and machine to plain words: which commit, whether it was changed, which stage, where it ran."""

import os
import platform
import subprocess
from pathlib import Path

from lectern.artifacts.paths import CHECKOUT

ROOT = CHECKOUT  # DVC may run a stage in another folder
MADE = ("dvc.lock", "metrics", "reports", "registry")  # committed results: changed by running, not by people


def git_commit() -> str:
    """The commit, with `-dirty` where anything but results has been changed; `unknown` outside git."""
    commit = git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":(exclude){path}" for path in MADE))
    return commit + ("-dirty" if changed else "")


def git(*arguments: str) -> str:
    """What git prints, or nothing where it fails or is not there."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def machine() -> str:
    """What a figure was measured on: system, processor, cores and GPU. No host name: it says nothing of speed."""
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores{gpu}"


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
