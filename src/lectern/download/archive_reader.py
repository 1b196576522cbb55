"""An archive in (zip or tar.gz, of unknown bytes); its members, listed and readable, out."""

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
from typing import IO

from lectern.download.checks import SourceRejected, check_limit, reading
from lectern.download.http import explain

LARGEST = 4 * 2**30  # bytes of an archive; those used here are far smaller, and an answer need not ever end
DAMAGE = (
    *(OSError, EOFError, ValueError, RuntimeError, OverflowError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name and size are only what the archive says."""

    name: str
    size: int
    is_plain: bool  # not a link, not a device
    read: Callable[[int], bytes]


@contextmanager
def members_of(source: Path, scratch: Path) -> Iterator[list[Member]]:
    """What an archive holds but for folders, readable inside the block; `scratch` has room for a tar.

    Raises Refused for a file that is missing, damaged or no archive.
    """
    with ExitStack() as open_files:
        with reading():
            file = open_files.enter_context(open(source, "rb"))
            start = file.read(2)
            file.seek(0)
        if start == b"PK":
            with refusing_damage():
                members = list_zip(open_files.enter_context(zipfile.ZipFile(file)))
        elif start == b"\x1f\x8b":
            unzipped = open_files.enter_context(tempfile.TemporaryFile(dir=scratch))
            unzip(file, unzipped)
            with refusing_damage():
                members = list_tar(open_files.enter_context(tarfile.open(fileobj=unzipped, mode="r:")))
        else:
            raise SourceRejected(f"neither a zip nor a tar.gz archive: it starts with {start!r}")
        yield members


def read_whole(member: Member) -> bytes:
    """As many bytes as the member declares: reading stops there, however much is packed."""
    with refusing_damage():
        return member.read(member.size)


def list_zip(archive: zipfile.ZipFile) -> list[Member]:
    def read(info: zipfile.ZipInfo, size: int) -> bytes:
        with archive.open(info) as file:
            return file.read(size)

    def is_plain(info: zipfile.ZipInfo) -> bool:
        return S_IFMT(info.external_attr >> 16) in (0, S_IFREG)  # 0: packed where files have no mode

    files = [info for info in archive.infolist() if not info.is_dir()]
    return [Member(info.filename, info.file_size, is_plain(info), partial(read, info)) for info in files]


def list_tar(archive: tarfile.TarFile) -> list[Member]:
    def read(info: tarfile.TarInfo, size: int) -> bytes:
        return archive.extractfile(info).read(size)

    files = [info for info in archive if not info.isdir()]
    return [Member(info.name, info.size, info.isreg(), partial(read, info)) for info in files]


def unzip(file: IO[bytes], unzipped: IO[bytes]) -> None:
    """The tar in a tar.gz, for reading its members in any order. Raises Refused for one without an end."""
    with gzip.open(file) as packed:
        while True:
            with refusing_damage():
                chunk = packed.read(2**20)
            if not chunk:
                break
            check_limit(unzipped.tell() + len(chunk), LARGEST)
            unzipped.write(chunk)
    unzipped.seek(0)


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Around reading only: an archive of unknown bytes can fail in many ways, and all mean the same to us."""
    try:
        yield
    except DAMAGE as problem:
        raise SourceRejected(f"damaged or cut short ({explain(problem)})") from problem
