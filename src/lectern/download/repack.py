"""An archive in (zip or tar.gz); one stored zip of its used members out, the same whoever packed it."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from stat import S_IFREG

from lectern.download.archive_reader import Member, members_of, read_whole
from lectern.download.checks import SourceRejected


@dataclass(frozen=True)
class Archive:
    """Which members of an archive are used: those under `inside` that match a pattern."""

    name: str  # of the archive in the mirror
    inside: str
    members: list[str]  # patterns relative to `inside`
    digest: str  # the content digest of the members used
    bytes: int  # of the members used together


def pack(source: Path, target: Path, archive: Archive) -> None:
    """Rewrite the used members of `source` as one stored zip.

    Raises Refused unless they are what was pinned, in name, size and content.
    """
    with members_of(source, target.parent) as members:
        used = choose(members, archive)
        # before anything is unpacked: a bomb that declares its size ends here, one that lies is cut off
        declared = sum(member.size for member in used.values())
        if declared != archive.bytes:
            raise SourceRejected(
                f"altered: found {len(used):,} members of {declared:,} bytes, expected {archive.bytes:,}"
            )
        found = content_digest(write_stored(used, target))
    if found != archive.digest:
        raise SourceRejected(f"altered: found members with content digest {found}, expected {archive.digest}")


def is_packed(path: Path, archive: Archive) -> bool:
    """Whether `path` is already what `pack` leaves."""
    try:
        with members_of(path, path.parent) as members:
            kept = choose(members, replace(archive, inside="", members=["*"]))
            digests = {path: hashlib.sha256(read_whole(member)).hexdigest() for path, member in kept.items()}
    except SourceRejected:
        return False
    return content_digest(digests) == archive.digest


def choose(members: list[Member], archive: Archive) -> dict[str, Member]:
    """The used members by their path relative to `inside`. Raises Refused for unsafe names and kinds."""
    used: dict[str, Member] = {}
    for member in members:
        if not is_safe(member.name):
            raise SourceRejected(f"not safe: the member {member.name!r} leaves the folder")
        path = member.name.removeprefix(archive.inside)
        if not member.name.startswith(archive.inside) or not is_wanted(path, archive.members):
            continue
        if not member.is_plain:  # elsewhere in a public archive links are usual, and nobody follows them
            raise SourceRejected(f"not safe: the member {member.name!r} is a link or a device")
        if path in used:
            raise SourceRejected(f"not safe: the member {member.name!r} is there twice")
        used[path] = member
    return used


def is_safe(name: str) -> bool:
    """Whether a member's name stays below the folder it is unpacked in, on any system."""
    parts = name.replace("\\", "/").split("/")
    return ".." not in parts and bool(parts[0]) and parts[0][1:2] != ":"


def is_wanted(path: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def write_stored(members: Mapping[str, Member], target: Path) -> dict[str, str]:
    """Write the members sorted, unpacked, with one time and one mode; returns the sha256 of each."""
    digests = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as stored:
        for path, member in sorted(members.items()):
            content = read_whole(member)
            digests[path] = hashlib.sha256(content).hexdigest()
            entry = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, (S_IFREG | 0o644) << 16  # as on Unix, everywhere
            stored.writestr(entry, content)
    return digests


def content_digest(digests: Mapping[str, str]) -> str:
    """The sha256 of one line `<sha256>  <path>` a member, sorted by path."""
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
