"""Run git commands in the repository that contains a folder."""

import os
import subprocess
from pathlib import Path

# Git hooks and some editors set environment variables that select a different repository or index.
REDIRECTIONS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


def git(folder: Path, *arguments: str) -> str:
    """Return the output of a git command as text, or an empty string if the command fails or git is not installed."""
    return run_git(folder, *arguments).decode("utf-8", "surrogateescape").strip()


def run_git(folder: Path, *arguments: str, text: bytes = b"") -> bytes:
    """Return the output of a git command that reads `text` from stdin, or empty bytes if the command fails."""
    environment = {name: value for name, value in os.environ.items() if name not in REDIRECTIONS}
    environment["GIT_NO_REPLACE_OBJECTS"] = "1"  # `git replace` changes the content of commits
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, env=environment, input=text, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def read_blobs(folder: Path, digests: list[str]) -> dict[str, bytes]:
    """Return a dict that maps digests to file contents in git's object database.

    Digests without a file are left out.
    """
    output = run_git(folder, "cat-file", "--batch", text="".join(f"{digest}\n" for digest in digests).encode())
    contents, start = {}, 0
    while start < len(output):
        end = output.index(b"\n", start)
        digest, *details = output[start:end].decode().split()
        start = end + 1
        if details[0] == "blob":
            size = int(details[1])
            contents[digest] = output[start : start + size]
            start += size + 1
    return contents
