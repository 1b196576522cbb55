"""Read or download the files of a new origin once, and compute their sizes and digests."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from lectern.artifacts.digests import file_digest
from lectern.download.archive_reader import MAX_ARCHIVE_BYTES
from lectern.download.checks import SourceRejected, print_progress
from lectern.download.http import Downloader
from lectern.download.repack import is_safe_name, matches_any
from lectern.errors import UserError
from lectern.new_dataset.addresses import check_addresses, split_addresses
from lectern.new_dataset.archives import is_archive, open_archive
from lectern.new_dataset.request import Request
from lectern.new_dataset.template import START_BYTES, FoundFiles
from lectern.user_files.system_files import is_system_file

MAX_FILES = 1000  # an origin file with more lines could not be reviewed, and DVC is slow with many small files
WEB_PAGE = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Source:
    """The files of a new origin, and the keys `urls` and `files` or `archive` of the origin's config."""

    files: FoundFiles
    section: dict[str, Any]


@contextmanager
def open_source(request: Request, scratch: Path) -> Iterator[Source]:
    """Read or download the files of a request. The files can be read only inside the `with` block.

    Downloads are written to the folder `scratch`. Raises UserError if the files cannot be read or downloaded.
    """
    if request.path is None:
        paths = download_all(request, scratch)
        names = {unquote(PurePosixPath(urlsplit(request.urls[0]).path).name): next(iter(paths.values()))}
    else:
        names = paths = find_local_files(request.path, request)
    name, path = next(iter(names.items()))
    if len(paths) == 1 and is_archive(path) and not (request.path and request.path.is_dir()):
        with open_archive(request, name, path, scratch) as (files, archive):
            yield Source(files, {"urls": request.urls, "archive": archive})
        return
    check_no_archive_options(request)
    yield pin_files(request, paths)


def check_no_archive_options(request: Request) -> None:
    is_folder = request.path is not None and request.path.is_dir()
    if request.inside or (request.members and not is_folder):
        raise UserError(
            "--inside and --members select files of an archive, but no archive was given. For a folder, give the "
            "folder that contains the files with --from, and select files with --members."
        )


def pin_files(request: Request, paths: dict[str, Path]) -> Source:
    """Return the files with their sizes and digests."""
    folders = []
    if request.urls:
        folder, addresses = split_addresses(request.urls)
        paths = {name: paths[url] for name, url in addresses.items()}
        folders = [folder]
    for name in paths:
        check_file_name(name)
    try:
        pinned = {name: {"bytes": path.stat().st_size, "sha256": file_digest(path)} for name, path in paths.items()}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}.") from error
    files = FoundFiles(list(paths), lambda name: read_start(paths[name]))
    return Source(files, {"urls": folders, "files": pinned})


def check_file_name(name: str) -> None:
    """Raise UserError if the name of a file cannot be written to a config, or would leave the folder of the origin."""
    if not is_safe_name(name) or "${" in name or not name.isprintable():
        raise UserError(f"The file name {name!r} has characters that a config file cannot contain. Rename the file.")


def find_local_files(path: Path, request: Request) -> dict[str, Path]:
    """Return a dict that maps the relative name of each file to its path, without files of an operating system."""
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise UserError(f"--from: {path} does not exist; expected a folder or a file.")
    paths = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    found = {name: file for name, file in paths.items() if not is_system_file(PurePosixPath(name))}
    used = {name: file for name, file in found.items() if not request.members or matches_any(name, request.members)}
    if not used:
        raise UserError(
            f"--from: none of the {len(found):,} files in {path} matches --members {' '.join(request.members)}."
            if found
            else f"--from: {path} contains no files; hidden files are ignored."
        )
    if len(used) > MAX_FILES:
        folder, archive = shlex.quote(str(path)), shlex.quote(f"{path.resolve()}.tar")
        raise UserError(
            f"--from: {path} contains {len(used):,} files; at most {MAX_FILES:,} files are listed one by one. Pack the "
            f"folder with `tar -cf {archive} -C {folder} .`, and give the archive with --from {archive}."
        )
    return used


def download_all(request: Request, scratch: Path) -> dict[str, Path]:
    """Download every address to the folder `scratch`. Return a dict that maps each address to the path of its file."""
    check_addresses(request.urls)
    if len(request.urls) > 1:
        split_addresses(request.urls)  # fails before the download
    downloader, paths = Downloader(), {}
    for number, url in enumerate(request.urls):
        paths[url] = scratch / str(number)
        try:
            downloader.download(url, paths[url], MAX_ARCHIVE_BYTES)
        except SourceRejected as reason:
            raise UserError(f"{url}: {reason}. Nothing was written. Check the address and the network.") from reason
        check_no_web_page(url, paths[url])
        print_progress(f"{request.name}: {paths[url].stat().st_size / 2**20:,.1f} MiB from {url}")
    return paths


def check_no_web_page(url: str, path: Path) -> None:
    """Raise UserError if a server has sent a web page instead of the file, for example a page for logging in."""
    is_page = read_start(path).lstrip()[:16].lower().startswith(WEB_PAGE)
    if is_page and not urlsplit(url).path.endswith((".html", ".htm")):
        raise UserError(f"{url} is the address of a web page. Give the address of the file itself.")


def read_start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(START_BYTES)
