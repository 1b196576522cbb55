"""Download the raw files of an origin (`conf/origin/<name>.yaml`) to `data/raw/<name>`, and verify the files."""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from lectern.artifacts.paths import group_config
from lectern.atomic import atomic_file, explain_write_error, remove_leftovers, temporary_directory
from lectern.config import call
from lectern.download.archive_reader import MAX_ARCHIVE_BYTES
from lectern.download.checks import SourceRejected, check_disk_space, check_pinned, print_progress
from lectern.download.generated import generate
from lectern.download.http import Downloader, is_url
from lectern.download.repack import Archive, is_repacked, is_safe_name, repack
from lectern.errors import UserError, hide_credentials


class PinnedFile(TypedDict):
    """The expected SHA-256 and size in bytes of a raw file."""

    sha256: str
    bytes: int


def download_origin(
    origin: dict[str, Any], out: Path, mirror: str | None, downloader: Downloader | None = None
) -> None:
    """Download the files of an origin to `out` and verify each file. A correct file that already exists is kept.

    If `mirror` is given, this folder or URL is tried before the public addresses. The files of a mirror have the paths
    `<mirror>/<origin>/<file>`. A downloaded file gets its final name only when the file is complete. Raises UserError
    if a file cannot be downloaded, differs from its pinned digest, or cannot be written.
    """
    config_file = str(group_config("origin", origin["name"]))
    kinds = [kind for kind in SOURCES if kind in origin]
    if len(kinds) != 1:
        raise UserError(f"{config_file}: expected exactly one of the keys {', '.join(SOURCES)}, found {kinds}.")
    section = {key: value for key, value in origin.items() if key not in ("name", "licence")}
    target = OriginDownload(origin["name"], out, mirror or None, downloader or Downloader())
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        call(SOURCES[kinds[0]], section, config_file, target)
    except OSError as error:
        message = explain_write_error(error) or f"{error}. Check the folder, and run the same command again."
        raise UserError(f"{target.name}: {out} could not be written: {message} No partial file was left.") from error


@dataclass(frozen=True)
class OriginDownload:
    """The name, output folder, mirror and HTTP client for the download of one origin."""

    name: str
    out: Path
    mirror: str | None
    downloader: Downloader

    def mirror_folders(self) -> list[str]:
        """Return a list that contains the origin's folder in the mirror. The list is empty if no mirror is set.

        Raise UserError if the mirror is neither a folder nor a URL.
        """
        if self.mirror is None:
            return []
        if not is_url(self.mirror) and not os.path.isdir(self.mirror):
            raise UserError(
                f"{self.name}: the mirror {self.mirror} is not a folder, and not an http:// or https:// address. "
                "Set LECTERN_MIRROR to a folder or an address, "
                "or unset LECTERN_MIRROR to use only the public addresses."
            )
        return [f"{self.mirror.rstrip('/')}/{self.name}"]

    def report_space(self, needed: int) -> None:
        """Print the download size and the free disk space. Raise UserError if fewer than `needed` bytes are free."""
        free = check_disk_space(self.out, needed)
        amount = f"{needed / 2**20:,.1f} MiB to download" if needed else "nothing to download, all files are present"
        print_progress(f"{self.name}: {amount}, {free / 2**30:,.1f} GiB of disk space free")

    def try_addresses(self, file: str, addresses: list[str], fetch: Callable[[str], None]) -> None:
        """Call `fetch` with each address until a call succeeds.

        If `fetch` fails for all addresses, raise UserError with the reason for each address.
        """
        reasons = []
        for address in addresses:
            try:
                fetch(address)
                return print_progress(f"{self.name}: {file} from {hide_credentials(address)}")
            except SourceRejected as reason:
                reasons.append(f"{hide_credentials(address)}: {reason}")
                print_progress(f"{self.name}: {reasons[-1]}")
        if not addresses:
            raise UserError(
                f"{self.name}: {group_config('origin', self.name)} contains no public address of {file}. Set the "
                f"environment variable LECTERN_MIRROR to a folder or URL that contains {self.name}/{file}."
            )
        attempts = "\n  ".join(reasons)
        raise UserError(
            f"{self.name}: {file} could not be downloaded from any address:\n  {attempts}\n"
            f"The environment variable LECTERN_MIRROR is {hide_credentials(self.mirror or 'not set')}. "
            f"Set LECTERN_MIRROR to a folder or URL that contains {self.name}/{file}, or check the network connection. "
            "Then run the command again. `make demo` needs no downloads."
        )


def download_files(target: OriginDownload, urls: list[str], files: dict[str, PinnedFile]) -> None:
    """Download the files of an origin one by one. Each item of `urls` is the address of a folder with all files."""
    check_file_names(target.name, files)
    folders = [*target.mirror_folders(), *(url.rstrip("/") for url in urls)]
    missing = {file: pinned for file, pinned in files.items() if not is_verified(target.out / file, pinned)}
    target.report_space(sum(pinned["bytes"] for pinned in missing.values()))
    for file, pinned in missing.items():
        addresses = [f"{folder}/{file}" for folder in folders]
        target.try_addresses(file, addresses, partial(fetch_file, target.out / file, pinned, target.downloader))


def check_file_names(origin: str, names: Iterable[str]) -> None:
    """Raise UserError if a file would be written outside the folder of the origin."""
    for name in names:
        if not is_safe_name(name):
            raise UserError(
                f"{group_config('origin', origin)}: files: {name!r} is not a path inside the folder of the origin; "
                "expected a name such as train.txt or folder/train.txt."
            )


def fetch_file(path: Path, pinned: PinnedFile, downloader: Downloader, address: str) -> None:
    """Download one file, or copy it from a mirror folder.

    Raise SourceRejected if the size or SHA-256 of the file differs from the pinned values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part:
        if is_url(address):
            downloader.download(address, part, max_bytes=pinned["bytes"])
        else:
            # check the size before the copy, because copyfile has no size limit
            check_pinned(Path(address), **pinned)
            shutil.copyfile(address, part)
        check_pinned(part, **pinned)


def is_verified(path: Path, pinned: PinnedFile) -> bool:
    try:
        check_pinned(path, **pinned)
    except SourceRejected:
        return False
    return True


def download_archive(target: OriginDownload, urls: list[str], archive: dict[str, Any]) -> None:
    """Download an archive and write the required members to `<origin>.zip`. `urls` lists addresses of the archive."""
    pinned = call(Archive, archive, f"{group_config('origin', target.name)}, archive")
    addresses = [*(f"{folder}/{pinned.name}" for folder in target.mirror_folders()), *urls]
    path = target.out / f"{target.name}.zip"
    missing = 0 if is_repacked(path, pinned) else pinned.bytes
    target.report_space(missing)
    if missing:
        target.try_addresses(pinned.name, addresses, partial(fetch_archive, path, pinned, target.downloader))


def fetch_archive(path: Path, pinned: Archive, downloader: Downloader, address: str) -> None:
    """Download an archive, or read it from a mirror folder, and write its required members to the zip file `path`."""
    with atomic_file(path) as part, temporary_directory(path.parent) as scratch:
        source = Path(address)
        if is_url(address):
            source = scratch / "archive"
            downloader.download(address, source, max_bytes=MAX_ARCHIVE_BYTES, reserved_bytes=pinned.bytes)
        repack(source, part, pinned)


def generate_files(target: OriginDownload, generated: dict[str, Any]) -> None:
    """Generate the sample data of an origin on this machine."""
    call(generate, generated, f"{group_config('origin', target.name)}, generated", target.name, target.out)


# maps a key of conf/origin/<name>.yaml to the function that downloads or generates the files
SOURCES: dict[str, Callable[..., None]] = {
    "files": download_files,
    "archive": download_archive,
    "generated": generate_files,
}
