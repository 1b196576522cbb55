"""Describe the commit of this checkout and the machine that a run used."""

import os
import platform
from pathlib import Path

from lectern.artifacts.paths import CHECKOUT
from lectern.artifacts.text_lines import split_lines
from lectern.tracking.committed_files import changed_files
from lectern.tracking.git import git

ROOT = CHECKOUT  # DVC may run a stage in another folder
UNKNOWN = "unknown"
DIRTY = "-dirty"  # suffix of a commit if files had been changed


def git_commit() -> str:
    """Return the commit. The suffix is `-dirty` if the checkout or the code in use differs from the commit.

    Results do not count. Returns `unknown` if no commit contains this checkout.
    """
    commit = git(ROOT, "rev-parse", "--verify", "HEAD^{commit}")
    if not commit:
        return UNKNOWN
    try:
        is_changed = any(True for _ in changed_files(ROOT, commit, used=Path.cwd()))
    except LookupError:  # this checkout is an unpacked archive inside another project
        return UNKNOWN
    return commit + (DIRTY if is_changed else "")


def machine() -> str:
    """Describe the hardware that determines speed: system, processor, number of cores and GPU."""
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores{gpu}"


def processor() -> str:
    """Return the name of the processor, if the system provides it."""
    try:
        lines = split_lines(Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
