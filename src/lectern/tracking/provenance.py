"""Find the commit of this checkout, and describe this machine, so that each run records both."""

import os
import platform
from pathlib import Path

from lectern.artifacts.paths import CHECKOUT
from lectern.artifacts.text_lines import split_lines
from lectern.tracking.committed_files import changed_files
from lectern.tracking.git import git

ROOT = CHECKOUT  # not the current folder, because DVC may run a stage in a different folder
UNKNOWN = "unknown"
DIRTY = "-dirty"  # suffix of a commit ID if files have uncommitted changes


def git_commit() -> str:
    """Return the commit of this checkout, with the suffix `-dirty` if files in use have uncommitted changes.

    Changes of results, such as metrics, are ignored. Returns `unknown` if no commit contains this checkout.
    """
    commit = git(ROOT, "rev-parse", "--verify", "HEAD^{commit}")
    if not commit:
        return UNKNOWN
    try:
        is_changed = any(True for _ in changed_files(ROOT, commit, used=Path.cwd()))
    except LookupError:  # the checkout was unpacked from an archive inside another repository
        return UNKNOWN
    return commit + (DIRTY if is_changed else "")


def machine() -> str:
    """Return a text with the operating system, the processor, the number of cores and the GPU of this machine."""
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores{gpu}"


def processor() -> str:
    """Return the name of the processor, or `unknown processor` if the system does not provide the name."""
    try:
        lines = split_lines(Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
