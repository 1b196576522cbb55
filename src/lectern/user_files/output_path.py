"""Check the path of a file that a command creates, before the command starts its work."""

import os
from collections.abc import Iterable
from pathlib import Path

from lectern.errors import UserError


def check_output_path(
    option: str, path: Path, suffixes: Iterable[str], overwrite: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Raise UserError if a command cannot or must not create the file `path`.

    `option` is the option that contains the path. An existing file is an error unless `overwrite` is true. An input of
    the command is never overwritten.
    """
    endings = list(suffixes)
    if path.suffix.lower() not in endings:
        raise UserError(f"{option} is {path}; the file name must end in {' or '.join(endings)}.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{option}: the folder {folder} does not exist. Create the folder with `mkdir -p {folder}`.")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{option}: the folder {folder} cannot be written. Choose a different folder.")
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder; expected the name of a file.")
    check_existing(option, path, overwrite, inputs)


def check_existing(option: str, path: Path, overwrite: bool, inputs: Iterable[Path]) -> None:
    """Raise UserError if `path` is an input, or if it exists and must not be overwritten."""
    if not path.exists():
        return
    if any(source.exists() and source.samefile(path) for source in inputs):
        raise UserError(f"{option}: {path} is the input of this command. Choose a different file name.")
    if not overwrite:
        raise UserError(f"{option}: {path} already exists. Choose a different file name, or add --overwrite.")
