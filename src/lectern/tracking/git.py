"""Run git commands on the repository that contains a folder."""

import os
import subprocess
from pathlib import Path

# A git hook and some editors set these. They would select another repository, index or object database.
REDIRECTIONS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


def git(folder: Path, *arguments: str) -> str:
    """Return the output of a git command, or an empty string if it fails or git is not installed."""
    environment = {name: value for name, value in os.environ.items() if name not in REDIRECTIONS}
    environment["GIT_NO_REPLACE_OBJECTS"] = "1"  # `git replace` would show other content under the same commit
    try:
        result = subprocess.run(
            ["git", "-C", folder, *arguments], env=environment, capture_output=True, check=True,
            encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()
