"""Generate the sample data of a task, and compare the digest of the generated files with the pinned digest."""

import os
from pathlib import Path
from typing import Any

from lectern import task_modules
from lectern.artifacts.digests import file_digest
from lectern.artifacts.paths import group_config
from lectern.atomic import atomic_file, temporary_directory, write_json
from lectern.config import call
from lectern.download.checks import print_progress
from lectern.download.repack import members_digest
from lectern.errors import UserError

SOURCE_FILE = "sample_source.json"


def generate(name: str, out: Path, task: str, arguments: dict[str, Any], digest: str | None = None) -> None:
    """Generate the files of an origin in `out` with the task's `data.samples.make`.

    If `make` returns the versions of the libraries that `make` has used, the versions are written to
    `sample_source.json` after all generated files. Raises UserError if `digest` is set and differs from the digest of
    the generated files.
    """
    if digest and members_digest(file_digests(out)) == digest:
        return print_progress(f"{name}: all files are present")
    with temporary_directory(out) as scratch:
        arguments_name = f"{group_config('origin', name)}, arguments"
        versions = call(task_modules.task_module(task, "data.samples").make, arguments, arguments_name, scratch)
        files = file_digests(scratch)
        check_digest(name, members_digest(files), digest)
        for file in files:
            with atomic_file(out / file) as part:
                os.replace(scratch / file, part)
    if versions is not None:
        write_json(out / SOURCE_FILE, {**versions, "files": files})
    print_progress(f"{name}: {len(files)} files generated, content digest {members_digest(files)}")


def check_digest(name: str, digest: str, pinned: str | None) -> None:
    if pinned and digest != pinned:
        raise UserError(
            f"{name}: the generated files have the content digest {digest}, expected {pinned}. "
            "A library, or the code that generates the files, "
            "has changed. Install the versions in constraints.txt. If the change is intended, "
            f"write the new digest to {group_config('origin', name)}."
        )


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder by the name of the file. `sample_source.json` is left out."""
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name != SOURCE_FILE}
