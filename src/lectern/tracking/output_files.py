"""Copy the outputs of stages for an upload, and refuse symbolic links that could publish private files.

DVC can replace the files of an output by symbolic links into its cache. A symbolic link to any other file outside of
the outputs could point to a private file, and an upload would publish the content of the private file.
"""

import os
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lectern.errors import UserError

OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")  # pattern of the relative path of a file in DVC's cache


def copy_output(output: Path, copy: Path) -> Path:
    """Copy an output, which is a file or a folder, to the path `copy`, and return `copy`.

    Symbolic links into DVC's cache are replaced by copies of the linked files. The copies are writable, although files
    in DVC's cache are read-only. Raises UserError if a link leads to a file outside the output and outside DVC's
    cache.
    """
    for path in checked_files(output):
        target = copy / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return copy


def check_links(*outputs: Path) -> None:
    """Raise UserError if an output contains a symbolic link that must not be followed. Missing outputs are ignored."""
    for output in outputs:
        for _ in checked_files(output):
            pass


def checked_files(output: Path) -> Iterator[Path]:
    """Yield the files of an output. Raises UserError at the first entry that must not be uploaded.

    The folder that contains the outputs, such as `models`, can be a symbolic link to a folder on a different disk.
    """
    root = output.parent.resolve()
    for path in list_entries(output):
        if path.is_symlink():
            check_link(path, path.resolve(), root)
        if path.is_file():
            yield path
        elif not path.is_dir() or (path.is_symlink() and path != output):
            raise UserError(f"{path} is neither a file nor a folder that can be uploaded. Delete this entry.")


def list_entries(output: Path) -> Iterator[Path]:
    """Yield the path of an output, and the paths of all files and folders in the output.

    The contents of folders that are symbolic links are not listed.
    """
    if os.path.lexists(output):
        yield output
    for folder, folders, files in os.walk(output):
        yield from (Path(folder) / name for name in [*folders, *files])


def check_link(path: Path, target: Path, root: Path) -> None:
    """Raise UserError if a symbolic link is broken, or if its target is outside of `root` and of DVC's cache."""
    if not target.is_relative_to(root) and not is_cached_by_dvc(target):
        raise UserError(
            f"{path} is a symbolic link to {target}, which is neither in {root} nor in DVC's cache. "
            "The link is not uploaded, because the tracking store would publish the content of the target. "
            "Replace the link by a copy of the target, or restore the output: dvc checkout --force"
        )
    if not target.exists():
        raise UserError(f"{path} is a symbolic link to {target}, which does not exist. Run dvc repro or dvc pull.")


def is_cached_by_dvc(path: Path) -> bool:
    """Return whether a resolved path is the path of a file in the cache of this DVC project.

    The form of the file name is also checked, because DVC's config can set the cache to any folder.
    """
    objects = cache_folder(Path.cwd())
    return objects is not None and path.is_relative_to(objects) and is_object_name(path.relative_to(objects))


def is_object_name(path: Path) -> bool:
    return OBJECT.fullmatch(path.as_posix()) is not None


@cache
def cache_folder(project: Path) -> Path | None:
    """Return the folder of DVC's cache, or None if there is no DVC project. The folder can be outside the project."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return Path(Repo(str(project)).cache.local.path).resolve()
    except DvcException:  # `project` is not in a DVC project
        return None
