"""Compare the contents of the files in this checkout with the contents in a commit.

`git status` is not used, because it compares times and sizes instead of contents, and skips files that are marked
`assume-unchanged` or `skip-worktree`.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader, all_suffixes
from pathlib import Path
from typing import NamedTuple

from lectern.artifacts.paths import CONF
from lectern.tracking.git import git

RESULTS = ("dvc.lock", "metrics", "reports", "registry")  # files that stages and promotions change
SOURCE, SCRIPTS = Path("src"), Path("pipelines")
READ_BY_STAGES = (*all_suffixes(), ".yaml")  # suffixes of modules and configs; temporary files of editors are ignored
SUBMODULE = "160000"  # git's file mode of a submodule


class CommittedFile(NamedTuple):
    """A file in a commit. `path` is relative to the root of the checkout."""

    mode: str
    digest: str
    path: Path


def changed_files(root: Path, commit: str, used: Path) -> Iterator[Path]:
    """Yield the files that differ from a commit.

    Compare the files of the checkout `root` and the code that a stage uses. `used` is the folder from which the stage
    reads its scripts and configs. The folder `used` can be in a different checkout. Raises LookupError if the commit
    does not contain the files of the checkout.
    """
    committed = {entry.path: entry for entry in committed_files(root, commit)}
    for path, entry in committed.items():
        if path.parts[0] not in RESULTS and not has_content(root / path, entry):
            yield root / path
    for folder in (root / SOURCE, used / SCRIPTS, used / CONF):
        for path in code_files(folder):
            found = committed.get(Path(folder.name) / path.relative_to(folder))
            if found is None or not has_content(path, found):
                yield path
    yield from filter(has_stale_bytecode, imported_files(root / SOURCE))


def committed_files(root: Path, commit: str) -> Iterator[CommittedFile]:
    """Yield the files of a commit that are below the folder `root`.

    Raises LookupError if the commit has no files below `root`.
    """
    entries = git(root, "ls-tree", "-r", "-z", commit).rstrip("\0")
    if not entries:
        raise LookupError(f"commit {commit} has no file below {root}")
    for entry in entries.split("\0"):
        description, _, path = entry.partition("\t")
        mode, _, digest = description.split()
        yield CommittedFile(mode, digest, Path(path))


def has_content(path: Path, entry: CommittedFile) -> bool:
    """Return whether a file, a symbolic link or a submodule has the content that a commit contains."""
    if entry.mode == SUBMODULE:
        return git(path, "rev-parse", "HEAD") == entry.digest and is_clean(path, entry.digest)
    try:
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    except OSError:
        return False
    algorithm = "sha1" if len(entry.digest) == 40 else "sha256"
    return hashlib.new(algorithm, b"blob %d\0" % len(content) + content).hexdigest() == entry.digest


def is_clean(submodule: Path, commit: str) -> bool:
    """Return whether every file of a submodule is unchanged since the commit of the submodule."""
    return all(has_content(submodule / entry.path, entry) for entry in committed_files(submodule, commit))


def code_files(folder: Path) -> Iterator[Path]:
    """Yield the modules, configs and symbolic links in a folder, without bytecode files."""
    for path in folder.rglob("*"):
        is_read = path.name.endswith(READ_BY_STAGES) and path.is_file()
        if (is_read or path.is_symlink()) and "__pycache__" not in path.parts:
            yield path


def imported_files(source: Path) -> Iterable[Path]:
    """Return the Python files below a folder that this process has imported as modules."""
    files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    return [file for file in files if source in file.parents and file.suffix == ".py"]


def has_stale_bytecode(path: Path) -> bool:
    """Return whether Python would execute bytecode that was compiled from an earlier version of a source file.

    To decide whether bytecode is current, Python compares only the size of the source file and the second of its last
    change.
    """
    loader = SourceFileLoader(path.stem, str(path))
    return loader.get_code(path.stem) != loader.source_to_code(path.read_bytes(), str(path))
