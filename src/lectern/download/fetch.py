"""An origin's config in (`conf/origin/<name>.yaml`); its raw files, verified, out (`data/raw/<name>`)."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lectern.artifacts.paths import group_config
from lectern.config import call
from lectern.download.archive_reader import LARGEST
from lectern.download.checks import SourceRejected, check, check_room, say, scratch_folder, sweep, unfinished
from lectern.download.generated import make
from lectern.download.http import Downloader, is_url, shown
from lectern.download.repack import Archive, is_packed, pack
from lectern.errors import UserError

Pinned = dict[str, Any]  # a file's sha256 and bytes


def fetch(origin: dict[str, Any], out: Path, mirror: str | None, downloader: Downloader | None = None) -> None:
    """Leave the files of an origin in `out`, each whole and verified; those that are right already stay.

    The mirror (a folder or a URL, laid out as `<mirror>/<origin>/<file>`) is asked first, then the public
    addresses in order. Raises UserError when something cannot be had, is not what was pinned, or cannot be
    written; nothing half-written ever has a final name.
    """
    where = str(group_config("origin", origin["name"]))
    kinds = [kind for kind in KINDS if kind in origin]
    if len(kinds) != 1:
        raise UserError(f"{where}: exactly one of the keys {', '.join(KINDS)} belongs here, found {kinds}.")
    section = {key: value for key, value in origin.items() if key not in ("name", "licence")}
    order = Order(origin["name"], out, mirror or None, downloader or Downloader())
    try:
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        call(KINDS[kinds[0]], section, where, order)
    except OSError as problem:
        raise UserError(
            f"{order.name}: {out} could not be written: {problem}. Nothing half-written was left there. "
            "Free some space or mend the permissions, and run it again."
        ) from problem


@dataclass(frozen=True)
class Order:
    """What every kind of origin is told: where its files go, and whom to ask."""

    name: str
    out: Path
    mirror: str | None
    downloader: Downloader

    def in_mirror(self) -> list[str]:
        """The origin's folder in the mirror, if one is set. Raises UserError for a mirror that is none."""
        if self.mirror is None:
            return []
        if not is_url(self.mirror) and not os.path.isdir(self.mirror):
            raise UserError(
                f"{self.name}: the mirror {self.mirror} is not a folder, nor a http:// or https:// address. "
                "Set LECTERN_MIRROR to one, or unset it to use the public addresses alone."
            )
        return [f"{self.mirror.rstrip('/')}/{self.name}"]

    def state_room(self, needed: int) -> None:
        free = check_room(self.out, needed)
        amount = f"{needed / 2**20:,.1f} MiB to fetch" if needed else "all there already"
        say(f"{self.name}: {amount}, {free / 2**30:,.1f} GiB free")

    def take_first(self, file: str, addresses: list[str], take: Callable[[str], None]) -> None:
        """`take` the first address that gives what was pinned. Raises UserError naming each and why not."""
        reasons = []
        for address in addresses:
            try:
                take(address)
                return say(f"{self.name}: {file} from {shown(address)}")
            except SourceRejected as reason:
                reasons.append(f"{shown(address)}: {reason}")
                say(f"{self.name}: {reasons[-1]}")
        tried = "\n  ".join(reasons)
        raise UserError(
            f"{self.name}: {file} cannot be had. Every address was tried:\n  {tried}\n"
            f"The mirror setting LECTERN_MIRROR is {shown(self.mirror or 'not set')}. Set it to a folder or "
            f"an address that has {self.name}/{file}, or mend the network, and run it again. "
            "`make demo` needs no downloads."
        )


def fetch_files(order: Order, urls: list[str], files: dict[str, Pinned]) -> None:
    """Single files, each pinned by sha256 and size; `urls` are the folders that have them."""
    folders = [*order.in_mirror(), *(url.rstrip("/") for url in urls)]
    missing = {file: pinned for file, pinned in files.items() if not is_right(order.out / file, pinned)}
    order.state_room(sum(pinned["bytes"] for pinned in missing.values()))
    for file, pinned in missing.items():
        addresses = [f"{folder}/{file}" for folder in folders]
        order.take_first(file, addresses, partial(take_file, order.out / file, pinned, order.downloader))


def take_file(path: Path, pinned: Pinned, downloader: Downloader, address: str) -> None:
    with unfinished(path) as part:
        if is_url(address):
            downloader.download(address, part, limit=pinned["bytes"])
        else:
            check(Path(address), **pinned)
            shutil.copyfile(address, part)
        check(part, **pinned)


def is_right(path: Path, pinned: Pinned) -> bool:
    try:
        check(path, **pinned)
    except SourceRejected:
        return False
    return True


def fetch_archive(order: Order, urls: list[str], archive: dict[str, Any]) -> None:
    """The used members of an archive as `<origin>.zip`; `urls` are addresses of the whole archive."""
    pinned = call(Archive, archive, f"{group_config('origin', order.name)}, archive")
    addresses = [*(f"{folder}/{pinned.name}" for folder in order.in_mirror()), *urls]
    path = order.out / f"{order.name}.zip"
    missing = 0 if is_packed(path, pinned) else pinned.bytes
    order.state_room(missing)
    if missing:
        order.take_first(pinned.name, addresses, partial(take_archive, path, pinned, order.downloader))


def take_archive(path: Path, pinned: Archive, downloader: Downloader, address: str) -> None:
    with unfinished(path) as part, scratch_folder(path.parent) as scratch:
        source = Path(address)
        if is_url(address):
            source = scratch / "archive"
            downloader.download(address, source, limit=LARGEST, besides=pinned.bytes)
        pack(source, part, pinned)


def fetch_made(order: Order, made: dict[str, Any]) -> None:
    """Samples that a room makes from a seed or finds on the machine; no address is asked."""
    call(make, made, f"{group_config('origin', order.name)}, made", order.name, order.out)


KINDS = {"files": fetch_files, "archive": fetch_archive, "made": fetch_made}  # the key that says which
