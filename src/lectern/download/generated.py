"""A room's `samples` in; the files that they make or find on this machine out, as pinned or recorded."""

import os
from pathlib import Path
from typing import Any

from lectern import task_modules
from lectern.artifacts.digests import file_digest
from lectern.artifacts.paths import group_config
from lectern.atomic import write_json
from lectern.config import call
from lectern.download.checks import say, scratch_folder, unfinished
from lectern.download.repack import content_digest
from lectern.errors import UserError

FOUND = "found.json"


def make(name: str, out: Path, task: str, arguments: dict[str, Any], digest: str | None = None) -> None:
    """Have the room's `samples` make the files; what it says they were found in goes to `found.json`, last.

    Raises UserError where `digest`, the content digest of the files, is given and is not what was made.
    """
    if digest and content_digest(digests_in(out)) == digest:
        return say(f"{name}: all there already")
    with scratch_folder(out) as scratch:
        where = f"{group_config('origin', name)}, arguments"
        found = call(task_modules.task_module(task, "data.samples").make, arguments, where, scratch)
        files = digests_in(scratch)
        check_digest(name, content_digest(files), digest)
        for file in files:
            with unfinished(out / file) as part:
                os.replace(scratch / file, part)
    if found is not None:
        write_json(out / FOUND, {**found, "files": files})
    say(f"{name}: {len(files)} files made, content digest {content_digest(files)}")


def check_digest(name: str, found: str, pinned: str | None) -> None:
    if pinned and found != pinned:
        raise UserError(
            f"{name}: the files made have the content digest {found}, expected {pinned}. The code or a "
            "library that makes them has changed: go back to the versions in constraints.txt or, if the "
            f"change is meant, put the new digest into conf/origin/{name}.yaml."
        )


def digests_in(folder: Path) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name != FOUND}
