"""A room's `samples` in; the files that they make or find on this machine out, as pinned or recorded."""

import os
from pathlib import Path
from typing import Any

from lectern import rooms
from lectern.config import call
from lectern.errors import UserError
from lectern.processed import file_digest, write_json
from lectern.sources.archives import content_digest
from lectern.sources.transfers import say, scratch_folder, unfinished

FOUND = "found.json"


def make(name: str, out: Path, task: str, arguments: dict[str, Any], digest: str | None = None) -> None:
    """Have the room's `samples` make the files; what it says they were found in goes to `found.json`, last.

    Raises UserError where `digest`, the content digest of the files, is given and is not what was made.
    """
    if digest and content_digest(digests_in(out)) == digest:
        return say(f"{name}: all there already")
    with scratch_folder(out) as scratch:
        where = f"conf/origin/{name}.yaml, arguments"
        found = call(rooms.leg(task, "samples").make, arguments, where, scratch)
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
