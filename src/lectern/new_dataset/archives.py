"""Select the members of an archive for a new origin, and compute their size and digest."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lectern.download.archive_reader import (
    DAMAGE_ERRORS,
    DECOMPRESSORS,
    TAR_SIGNATURE,
    TAR_SIGNATURE_END,
    Member,
    open_members,
    read_member,
    reject_damaged,
)
from lectern.download.checks import SourceRejected, check_disk_space
from lectern.download.repack import Archive, members_digest, select_members
from lectern.errors import UserError
from lectern.new_dataset.request import Request
from lectern.new_dataset.template import START_BYTES, FoundFiles
from lectern.user_files.system_files import is_system_file


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive, or a tar archive that can be compressed."""
    try:
        with open(path, "rb") as file:
            start = file.read(TAR_SIGNATURE_END)
        for signature, decompress in DECOMPRESSORS.items():
            if start.startswith(signature):
                with decompress(path) as file:
                    start = file.read(TAR_SIGNATURE_END)
    except DAMAGE_ERRORS:
        return False
    return start.startswith(b"PK\x03\x04") or start.endswith(TAR_SIGNATURE)


@contextmanager
def open_archive(request: Request, name: str, path: Path, scratch: Path) -> Iterator[tuple[FoundFiles, dict[str, Any]]]:
    """Yield the selected members of an archive, and the section `archive` of the origin's config.

    Raises UserError if the archive is damaged, or if no member is selected.
    """
    try:
        with open_members(path, scratch) as members:
            archive = Archive(name or request.name, choose_folder(request, members), request.members or ["*"], "", 0)
            used = select_members(members, archive)
            check_not_empty(archive, members, used)
            size = sum(member.size for member in used.values())
            check_disk_space(scratch, size)
            digests = {path: hashlib.sha256(read_member(member)).hexdigest() for path, member in used.items()}
            pinned = replace(archive, digest=members_digest(digests), bytes=size)
            yield FoundFiles(sorted(used), lambda name: read_start(used[name]), f"{request.name}.zip"), asdict(pinned)
    except SourceRejected as reason:
        raise UserError(f"{name}: {reason}. Nothing was written.") from reason


def choose_folder(request: Request, members: list[Member]) -> str:
    """Return the folder of the user's files in the archive, by default the folder that contains all members."""
    if request.inside:
        return request.inside.strip("/") + "/"
    paths = [PurePosixPath(member.name) for member in members]
    folders = [str(path.parent) for path in paths if not is_system_file(path) and not path.is_absolute()]
    folder = os.path.commonpath(folders) if folders else "."
    return "" if folder in ("", ".") else folder + "/"


def check_not_empty(archive: Archive, members: list[Member], used: dict[str, Member]) -> None:
    if not used:
        examples = ", ".join(member.name for member in members[:5]) or "none"
        raise UserError(
            f"{archive.name}: no member is in the folder {archive.inside or '.'} and matches "
            f"{' '.join(archive.members)}. The archive has {len(members):,} members, such as: {examples}. Change "
            "--inside and --members."
        )


def read_start(member: Member) -> bytes:
    with reject_damaged():
        return member.read(START_BYTES)
