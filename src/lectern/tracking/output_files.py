"""Copy the outputs of stages for an upload, without the files that foreign symbolic links point to.

DVC can replace the files of an output by symbolic links into its cache. Any other link that leaves the folder of the
outputs could point to a private file, and an upload would publish its content.
"""

import os
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lectern.errors import UserError

OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")  # the path of a file in DVC's cache


def copy_output(output: Path, copy: Path) -> Path:
    """Copy an output, which is a file or a folder, and follow symbolic links into DVC's cache. Return the copy.

    The copy has the default permissions, because linked files of DVC's cache are read-only. Raises UserError if the
    output contains another link.
    """
    for path in checked_files(output):
        target = copy / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return copy


def check_links(*outputs: Path) -> None:
    """Raise UserError if an output has a symbolic link that may not be followed. Outputs can be missing."""
    for output in outputs:
        for _ in checked_files(output):
            pass


def checked_files(output: Path) -> Iterator[Path]:
    """Yield the files of an output. Raises UserError at the first entry that may not be uploaded.

    The folder that contains the outputs, such as `models`, can itself be a link to another disk.
    """
    root = output.parent.resolve()
    for path in list_entries(output):
        if path.is_symlink():
            check_link(path, path.resolve(), root)
        if path.is_file():
            yield path
        elif not path.is_dir() or (path.is_symlink() and path != output):
            raise UserError(f"{path} is neither a file nor a folder that can be uploaded. Delete it.")


def list_entries(output: Path) -> Iterator[Path]:
    """Yield the path of an output and all paths in it. Linked folders in it are not entered."""
    if os.path.lexists(output):
        yield output
    for folder, folders, files in os.walk(output):
        yield from (Path(folder) / name for name in [*folders, *files])


def check_link(path: Path, target: Path, root: Path) -> None:
    """Raise UserError if the link `path` is broken, or if it leads to a file outside of `root` and of DVC's cache."""
    if not target.is_relative_to(root) and not is_cached_by_dvc(target):
        raise UserError(
            f"{path} is a symbolic link to {target}, which is neither in {root} nor in DVC's cache. It is not "
            "uploaded, because the store would publish that content. Replace the link by the file itself, or restore "
            "the output: dvc checkout --force"
        )
    if not target.exists():
        raise UserError(f"{path} is a symbolic link to {target}, which does not exist. Run dvc repro or dvc pull.")


def is_cached_by_dvc(path: Path) -> bool:
    """Return whether a path without links is the path of a file in the cache of this DVC project.

    The name is compared too, because a config can name any folder as the cache.
    """
    objects = cache_folder(Path.cwd())
    return objects is not None and path.is_relative_to(objects) and is_object_name(path.relative_to(objects))


def is_object_name(path: Path) -> bool:
    return OBJECT.fullmatch(path.as_posix()) is not None


@cache
def cache_folder(project: Path) -> Path | None:
    """Return the folder of the files in DVC's cache, which can be outside of the project. None without DVC."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return Path(Repo(str(project)).cache.local.path).resolve()
    except DvcException:  # the folder is not in a DVC project
        return None
