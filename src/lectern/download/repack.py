"""Copy the required members of an archive to an uncompressed zip file, so that equal members give equal files."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from stat import S_IFREG

from lectern.download.archive_reader import Member, open_members, read_member
from lectern.download.checks import SourceRejected
from lectern.user_files.system_files import is_system_file


@dataclass(frozen=True)
class Archive:
    """An archive and its required members.

    A member is required if its path is inside the folder `inside` and matches one of the patterns `members`.
    """

    name: str  # file name of the archive in the mirror
    inside: str
    members: list[str]  # patterns relative to `inside`
    digest: str  # digest of the contents of the required members, see `members_digest`
    bytes: int  # total size of the required members in bytes


def repack(source: Path, target: Path, archive: Archive) -> None:
    """Write the required members of the archive `source` to `target` as an uncompressed zip file.

    Raises SourceRejected if the names, sizes or contents of the members differ from the pinned values.
    """
    with open_members(source, target.parent) as members:
        used = select_members(members, archive)
        # The declared sizes are checked before any member is read, to reject a decompression bomb.
        # `read_member` reads at most the declared size.
        declared = sum(member.size for member in used.values())
        if declared != archive.bytes:
            raise SourceRejected(
                f"altered: found {len(used):,} members with {declared:,} bytes, expected {archive.bytes:,} bytes"
            )
        digest = members_digest(write_zip(used, target))
    if digest != archive.digest:
        raise SourceRejected(f"altered: found members with content digest {digest}, expected {archive.digest}")


def is_repacked(path: Path, archive: Archive) -> bool:
    """Return whether `path` is a zip file that `repack` wrote and that contains the members in the config."""
    try:
        with open_members(path, path.parent) as members:
            selected = select_members(members, replace(archive, inside="", members=["*"]))
            digests = {name: hashlib.sha256(read_member(member)).hexdigest() for name, member in selected.items()}
    except SourceRejected:
        return False
    return members_digest(digests) == archive.digest


def select_members(members: list[Member], archive: Archive) -> dict[str, Member]:
    """Return a dict that maps the path of each required member, relative to `inside`, to the member.

    Files of an operating system, such as `._a.jpg`, are left out. Raises SourceRejected if a member has an unsafe name,
    if two required members have the same path, or if a required member is a link or a device.
    """
    used: dict[str, Member] = {}
    for member in members:
        if not is_safe_name(member.name):
            raise SourceRejected(f"unsafe: the path of member {member.name!r} points outside the archive folder")
        path = member.name.removeprefix(archive.inside)
        if not member.name.startswith(archive.inside) or not matches_any(path, archive.members):
            continue
        if is_system_file(PurePosixPath(path)):
            continue
        if not member.is_regular:  # links that are not required are skipped above, because they are harmless
            raise SourceRejected(f"unsafe: member {member.name!r} is a link or a device")
        if path in used:
            raise SourceRejected(f"unsafe: the archive contains member {member.name!r} twice")
        used[path] = member
    return used


def is_safe_name(name: str) -> bool:
    """Return whether an extracted file with this path stays inside the target folder, on every operating system."""
    parts = name.replace("\\", "/").split("/")
    return ".." not in parts and bool(parts[0]) and parts[0][1:2] != ":"


def matches_any(path: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def write_zip(members: Mapping[str, Member], target: Path) -> dict[str, str]:
    """Write the members to an uncompressed zip file, and return the SHA-256 of each member.

    The members are sorted by path and have a fixed time and file mode, so that equal members give equal files.
    """
    digests = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, member in sorted(members.items()):
            content = read_member(member)
            digests[path] = hashlib.sha256(content).hexdigest()
            entry = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, (S_IFREG | 0o644) << 16  # Unix attributes
            archive.writestr(entry, content)
    return digests


def members_digest(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of a text with one line `<sha256> <path>` per member, sorted by path."""
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
