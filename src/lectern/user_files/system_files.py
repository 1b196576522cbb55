"""Recognize files that an operating system or a program adds to a folder, and that are not part of the data."""

from pathlib import PurePath

NAMES = {"thumbs.db", "desktop.ini", "__macosx"}


def is_system_file(path: PurePath) -> bool:
    """Return whether a path contains a hidden file or folder, or a file that Windows or macOS creates.

    `path` is relative to the folder with the data. Examples are `._a.txt`, `Thumbs.db` and `.ipynb_checkpoints/a.txt`.
    """
    return any(part.startswith(".") or part.lower() in NAMES for part in path.parts)
