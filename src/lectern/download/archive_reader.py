"""List and read the members of an untrusted zip or tar archive."""

import bz2
import gzip
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_IFMT, S_IFREG
from typing import IO, Any

from lectern.download.checks import SourceRejected, check_size_limit, reject_unreadable
from lectern.download.http import describe_error

MAX_ARCHIVE_BYTES = 4 * 2**30  # maximum size of an archive; stops the download if a server sends data without end
TAR_SIGNATURE, TAR_SIGNATURE_END = b"ustar", 262  # a tar archive has the signature before this position
DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {  # maps the first bytes of a file to its decompressor
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
DAMAGE_ERRORS = (
    *(OSError, EOFError, ValueError, RuntimeError, OverflowError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    `name` and `size` are the values that the archive declares. A damaged or malicious archive can declare wrong values.
    """

    name: str
    size: int
    is_regular: bool  # false if the member is a link or a device
    read: Callable[[int], bytes]


@contextmanager
def open_members(source: Path, scratch: Path) -> Iterator[list[Member]]:
    """Yield the members of an archive, without folders. The members can be read only inside the `with` block.

    A compressed tar archive is decompressed to a temporary file in `scratch`. Raises SourceRejected if the file
    `source` is missing, damaged or not an archive.
    """
    with ExitStack() as open_files:
        with reject_unreadable():
            file = open_files.enter_context(open(source, "rb"))
            start = file.read(TAR_SIGNATURE_END)
            file.seek(0)
        decompress = next(
            (function for signature, function in DECOMPRESSORS.items() if start.startswith(signature)), None
        )
        if start.startswith(b"PK"):
            with reject_damaged():
                members = list_zip_members(open_files.enter_context(zipfile.ZipFile(file)))
        elif decompress or start.endswith(TAR_SIGNATURE):
            tar = open_files.enter_context(tempfile.TemporaryFile(dir=scratch)) if decompress else file
            if decompress:
                write_decompressed(decompress(file), tar)
            with reject_damaged():
                members = list_tar_members(open_files.enter_context(tarfile.open(fileobj=tar, mode="r:")))
        else:
            raise SourceRejected(
                f"expected a zip, tar, tar.gz, tar.bz2 or tar.xz archive; found a file that starts with {start[:4]!r}"
            )
        yield members


def read_member(member: Member) -> bytes:
    """Return the content of a member, but at most as many bytes as the archive declares for the member."""
    with reject_damaged():
        return member.read(member.size)


def list_zip_members(archive: zipfile.ZipFile) -> list[Member]:
    def read(info: zipfile.ZipInfo, size: int) -> bytes:
        with archive.open(info) as file:
            return file.read(size)

    def is_regular(info: zipfile.ZipInfo) -> bool:
        return S_IFMT(info.external_attr >> 16) in (
            0,
            S_IFREG,
        )  # 0: the archive does not state the type

    files = [info for info in archive.infolist() if not info.is_dir()]
    return [Member(slashes(info.filename), info.file_size, is_regular(info), partial(read, info)) for info in files]


def slashes(name: str) -> str:
    r"""Return the name of a zip member with slashes. Some programs write backslashes, such as `IMG\\a.jpg`."""
    return name.replace("\\", "/")


def list_tar_members(archive: tarfile.TarFile) -> list[Member]:
    def read(info: tarfile.TarInfo, size: int) -> bytes:
        file = archive.extractfile(info)
        return file.read(size) if file else b""

    files = [info for info in archive if not info.isdir()]
    return [Member(info.name.removeprefix("./"), info.size, info.isreg(), partial(read, info)) for info in files]


def write_decompressed(compressed: Any, target: IO[bytes]) -> None:
    """Write a decompressed file to `target`, because tar members in a compressed file cannot be read in any order.

    Raises SourceRejected if the decompressed file is larger than MAX_ARCHIVE_BYTES.
    """
    with compressed:
        while True:
            with reject_damaged():
                chunk = compressed.read(2**20)
            if not chunk:
                break
            check_size_limit(target.tell() + len(chunk), MAX_ARCHIVE_BYTES)
            target.write(chunk)
    target.seek(0)


@contextmanager
def reject_damaged() -> Iterator[None]:
    """Raise SourceRejected for every exception that a damaged archive can cause."""
    try:
        yield
    except DAMAGE_ERRORS as error:
        raise SourceRejected(f"damaged or truncated ({describe_error(error)})") from error
