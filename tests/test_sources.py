"""Sources: what is pinned arrives whole wherever it is, and nothing else ever gets a final name."""

import gzip
import hashlib
import io
import json
import os
import re
import resource
import shutil
import socket
import stat
import tarfile
import tempfile
import threading
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from lectern.download import archive_reader, generated, http
from lectern.download.fetch import KINDS, fetch
from lectern.download.http import Downloader
from lectern.download.repack import Archive
from lectern.errors import UserError

ORIGINS = sorted((Path(__file__).parents[1] / "conf" / "origin").glob("*.yaml"))
WORDS = b"To be, or not to be\n" * 500
FILES = {
    "driving_log.csv": b"center,steering\n" * 40,
    "IMG/center_1.jpg": b"one" * 99,
    "IMG/center_2.jpg": b"two" * 9,
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_file(urls: list[str], name: str = "words.txt", content: bytes = WORDS) -> dict:
    return {
        "name": "texts",
        "urls": urls,
        "files": {name: {"sha256": sha256(content), "bytes": len(content)}},
    }


def an_archive(urls: list[str], files: dict[str, bytes] = FILES) -> dict:
    lines = "".join(f"{sha256(content)}  {path}\n" for path, content in sorted(files.items()))
    archive = {
        "name": "data.zip",
        "inside": "data/",
        "members": ["driving_log.csv", "IMG/center_*.jpg"],
        "digest": sha256(lines.encode()),
        "bytes": sum(map(len, files.values())),
    }
    return {"name": "drive", "urls": urls, "archive": archive}


def zipped(files: dict[str, bytes], inside: str = "data/", compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for path, content in files.items():
            archive.writestr(inside + path, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(f"data/{path}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return packed.getvalue()


def quick() -> Downloader:
    return Downloader(tries=2, wait=0.01, connect=2.0, read=2.0)


def put(folder: Path, path: str, content: bytes) -> Path:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    return folder


def left_in(out: Path) -> list[str]:
    """Everything there, hidden and temporary files included."""
    return sorted(os.listdir(out)) if out.exists() else []


class Site:
    """A web server on loopback: `pages` are the answers by path, one or one after another; `asked` counts."""

    def __init__(self, address: str):
        self.address = address
        self.pages: dict[str, bytes | Callable | list] = {}
        self.asked: Counter[str] = Counter()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked[handler.path] += 1
        page = self.pages.get(handler.path, status(404))
        if isinstance(page, list):
            page = page.pop(0) if len(page) > 1 else page[0]
        (whole(page) if isinstance(page, bytes) else page)(handler)


def whole(content: bytes, length: int | None = None, code: int = 200) -> Callable:
    """An answer that declares `length` bytes and then gives the content, short as it may be."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)

    return send


def status(code: int) -> Callable:
    return whole(b"<html>sorry, this is a long page about an error</html>" * 1000, code=code)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):  # the other side hangs up; if not, this ends before the disk is full
        for _ in range(500):
            handler.wfile.write(b"0" * 2**16)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def site():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.site.answer(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.site = Site(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.site
        server.shutdown()


@pytest.fixture
def closed() -> str:
    """An address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


# Where from


def test_the_mirror_is_asked_before_the_public_addresses(tmp_path, site):
    site.pages["/words.txt"] = WORDS
    mirror = put(tmp_path / "mirror", "texts/words.txt", WORDS)
    fetch(a_file([site.address]), tmp_path / "out", str(mirror), quick())
    assert (tmp_path / "out/words.txt").read_bytes() == WORDS
    assert not site.asked


def test_the_mirror_may_be_a_web_address(tmp_path, site):
    site.pages["/mirror/texts/words.txt"] = WORDS
    fetch(a_file([site.address]), tmp_path, f"{site.address}/mirror/", quick())
    assert (tmp_path / "words.txt").read_bytes() == WORDS
    assert dict(site.asked) == {"/mirror/texts/words.txt": 1}


def test_a_mirror_that_lacks_a_file_gives_way_to_the_public_addresses_in_order(tmp_path, site):
    (tmp_path / "mirror").mkdir()
    site.pages |= {"/second/words.txt": WORDS, "/third/words.txt": WORDS}
    urls = [f"{site.address}/{place}/" for place in ("first", "second", "third")]
    fetch(a_file(urls), tmp_path / "out", str(tmp_path / "mirror"), quick())
    assert (tmp_path / "out/words.txt").read_bytes() == WORDS
    assert dict(site.asked) == {"/first/words.txt": 1, "/second/words.txt": 1}


def test_a_mirror_that_is_no_folder_is_said_at_once(tmp_path, site):
    for origin in (a_file([site.address]), an_archive([f"{site.address}/data.zip"])):
        with pytest.raises(UserError, match=r"nowhere is not a folder.*LECTERN_MIRROR"):
            fetch(origin, tmp_path / "out", str(tmp_path / "nowhere"), quick())
    assert not site.asked


@pytest.mark.parametrize("held", [WORDS[:-7], WORDS.replace(b"not", b"now"), WORDS + b"x" * 10_000])
def test_an_altered_file_in_the_mirror_is_named_and_the_next_address_tried(tmp_path, site, held, capsys):
    mirror = put(tmp_path / "mirror", "texts/words.txt", held)
    site.pages["/words.txt"] = WORDS
    fetch(a_file([site.address]), tmp_path / "out", str(mirror), quick())
    assert (tmp_path / "out/words.txt").read_bytes() == WORDS
    said = next(line for line in capsys.readouterr().err.splitlines() if "mirror/texts/words.txt" in line)
    assert sha256(held) in said and sha256(WORDS) in said and f"{len(held):,} bytes" in said


def test_a_mirror_file_that_cannot_be_read_is_named_and_the_next_address_tried(tmp_path, site, capsys):
    mirror = put(tmp_path / "mirror", "texts/words.txt/folder-in-its-place", WORDS)
    put(mirror, "drive/data.zip/folder-in-its-place", b"")
    site.pages |= {"/words.txt": WORDS, "/data.zip": zipped(FILES)}
    fetch(a_file([site.address]), tmp_path / "out", str(mirror), quick())
    fetch(an_archive([f"{site.address}/data.zip"]), tmp_path / "out", str(mirror), quick())
    assert left_in(tmp_path / "out") == ["drive.zip", "words.txt"]
    assert capsys.readouterr().err.count("cannot be read: Is a directory") == 2


@pytest.fixture
def without_root() -> Iterator[Path]:
    """A folder of one's own, as somebody for whom permissions count."""
    with tempfile.TemporaryDirectory() as folder:
        user = os.geteuid()
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield Path(folder)
        os.seteuid(user)


def test_missing_permissions_are_said(without_root):
    mirror = put(without_root / "mirror", "texts/words.txt", WORDS)
    (mirror / "texts/words.txt").chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        fetch(a_file([]), without_root / "out", str(mirror), quick())
    (mirror / "texts/words.txt").chmod(0o644)
    (without_root / "out").chmod(0o500)
    with pytest.raises(UserError, match="could not be written.*Permission denied"):
        fetch(a_file([]), without_root / "out", str(mirror), quick())
    assert left_in(without_root / "out") == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    put(tmp_path, "data", b"a file where the folder should be")
    with pytest.raises(UserError, match=r"data/raw could not be written.*permissions"):
        fetch(a_file([]), tmp_path / "data" / "raw", None, quick())


# Transfers that go wrong


def test_a_truncated_transfer_leaves_no_file(tmp_path, site):
    site.pages["/words.txt"] = whole(WORDS[:5000], length=len(WORDS))
    with pytest.raises(UserError, match="5000 bytes read, 5000 more expected"):
        fetch(a_file([site.address]), tmp_path, None, quick())
    assert left_in(tmp_path) == []
    assert site.asked["/words.txt"] == 2


@pytest.mark.parametrize("first", [whole(WORDS[:5000], length=len(WORDS)), status(503), status(429)])
def test_a_transfer_that_broke_starts_again(tmp_path, site, first):
    site.pages["/words.txt"] = [first, whole(WORDS)]
    fetch(a_file([site.address]), tmp_path, None, quick())
    assert (tmp_path / "words.txt").read_bytes() == WORDS
    assert site.asked["/words.txt"] == 2


def test_a_file_that_is_not_there_is_asked_for_once_only(tmp_path, site):
    with pytest.raises(UserError, match="HTTP 404 Not Found"):
        fetch(a_file([site.address]), tmp_path, None, quick())
    assert site.asked["/words.txt"] == 1


def test_a_server_that_stalls_is_given_up(tmp_path, site):
    site.pages["/words.txt"] = lambda handler: time.sleep(1)
    with pytest.raises(UserError, match="timed out"):
        fetch(a_file([site.address]), tmp_path, None, Downloader(tries=2, wait=0.01, read=0.1))
    assert left_in(tmp_path) == []


def test_wrong_bytes_from_everywhere_are_an_error_with_both_digests(tmp_path, site):
    site.pages["/words.txt"] = b"<html>please log in</html>"
    with pytest.raises(UserError) as error:
        fetch(a_file([site.address]), tmp_path, None, quick())
    assert sha256(WORDS) in str(error.value) and sha256(b"<html>please log in</html>") in str(error.value)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("page", [endless, whole(b"", length=10**12)])
def test_an_answer_longer_than_what_is_pinned_is_cut_off(tmp_path, site, page):
    site.pages["/words.txt"] = page
    with pytest.raises(UserError, match=r"expected at most 10,000"):
        fetch(a_file([site.address]), tmp_path, None, quick())
    assert left_in(tmp_path) == []


def test_what_the_server_packs_on_the_way_is_not_asked_for(tmp_path, site):
    accepted = []
    site.pages["/words.txt"] = lambda handler: (
        accepted.append(handler.headers["Accept-Encoding"]),
        whole(WORDS)(handler),
    )
    fetch(a_file([site.address]), tmp_path, None, quick())
    assert accepted == ["identity"]


def test_no_network_names_every_address_and_the_mirror_setting_and_make_demo(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    origins = [yaml.safe_load(path.read_text()) for path in ORIGINS]
    for origin in origins:
        if "urls" not in origin:
            continue
        started = time.monotonic()
        with pytest.raises(UserError) as error:
            fetch(origin, tmp_path / origin["name"], None)
        assert time.monotonic() - started < 10
        message = str(error.value)
        assert all(url in message for url in origin["urls"]), message
        assert message.count("Temporary failure in name resolution") == len(origin["urls"])
        assert "LECTERN_MIRROR" in message and "make demo" in message
        assert left_in(tmp_path / origin["name"]) == []


def test_a_host_that_does_not_answer_is_not_waited_for_again(tmp_path, site, closed, monkeypatch):
    texts = {f"{number}.txt": bytes([65 + number]) * 9 for number in range(5)}
    origin = {
        "name": "texts",
        "urls": [closed, site.address],
        "files": {name: {"sha256": sha256(text), "bytes": 9} for name, text in texts.items()},
    }
    site.pages = {f"/{name}": text for name, text in texts.items()}
    connected = Counter()
    download = http.HTTPDownloader.__call__

    def counted(self, url, *arguments):
        connected[url.rpartition("/")[0]] += 1
        return download(self, url, *arguments)

    monkeypatch.setattr(http.HTTPDownloader, "__call__", counted)
    fetch(origin, tmp_path, None, quick())
    assert left_in(tmp_path) == sorted(texts)
    assert connected == {closed: 1, site.address: 5}


def test_hosts_that_swallow_everything_cost_ten_seconds_together():
    asked = []
    downloader = Downloader(wait=0.0)

    def swallow(self, url, part, limit, besides):
        asked.append(max(0.5, min(self.connect, self.patience)))
        self.patience -= asked[-1]  # what the clock would have taken off
        raise http.ConnectionError(http.MaxRetryError(None, url, TimeoutError("timed out")))

    downloader.transfer = swallow.__get__(downloader)
    for number in range(5):
        with pytest.raises(http.Refused, match="timed out"):
            downloader.download(f"http://host{number}.invalid/words.txt", Path("unused"), 1)
    assert sum(asked) <= 10.5 and len(asked) == 5


def test_passwords_in_an_address_are_never_shown(tmp_path, site, capsys):
    mirror = site.address.replace("http://", "http://reader:secret@")
    with pytest.raises(UserError) as error:
        fetch(a_file(["http://me:secret@nowhere.invalid"]), tmp_path, mirror, quick())
    assert "secret" not in str(error.value) + capsys.readouterr().err
    assert site.address in str(error.value)


# The disk


def test_room_is_stated_before_fetching_and_each_file_takes_one_line(tmp_path, capsys):
    mirror = put(tmp_path / "mirror", "texts/words.txt", WORDS)
    fetch(a_file([]), tmp_path / "out", str(mirror), quick())
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"texts: 0\.0 MiB to fetch, [\d,.]+ GiB free", said[0])
    assert said[1:] == [f"texts: words.txt from {mirror}/texts/words.txt"]


def test_a_full_disk_is_said_before_fetching(tmp_path, site, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(WORDS) - 1))
    site.pages |= {"/words.txt": WORDS, "/data.zip": zipped(FILES)}
    with pytest.raises(UserError, match="too little room on the disk"):
        fetch(a_file([site.address]), tmp_path, None, quick())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError, match="too little room on the disk"):
        fetch(an_archive([f"{site.address}/data.zip"]), tmp_path, None, quick())
    assert not site.asked and left_in(tmp_path) == []


def test_an_archive_needs_room_for_itself_and_for_what_is_used_of_it(tmp_path, site, monkeypatch):
    packed = zipped(FILES, compression=zipfile.ZIP_STORED)
    site.pages["/data.zip"] = packed
    origin = an_archive([f"{site.address}/data.zip"])
    needed = len(packed) + origin["archive"]["bytes"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(UserError, match="too little room on the disk"):
        fetch(origin, tmp_path, None, quick())
    assert left_in(tmp_path) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    fetch(origin, tmp_path, None, quick())
    assert left_in(tmp_path) == ["drive.zip"]


def test_a_disk_that_fills_up_during_a_transfer_leaves_no_file(tmp_path, site, monkeypatch):
    site.pages["/words.txt"] = WORDS
    # the kernel's own full device in the place of the temporary file
    monkeypatch.setattr(http, "open", lambda *_: io.FileIO("/dev/full", "w"), raising=False)
    with pytest.raises(UserError, match="could not be written.*No space left on device.*Free some space"):
        fetch(a_file([site.address, site.address]), tmp_path, None, quick())
    assert left_in(tmp_path) == []
    assert site.asked["/words.txt"] == 1  # another address would not help


def test_a_file_that_cannot_grow_is_never_left_half_written(tmp_path):
    mirror = put(tmp_path / "mirror", "texts/words.txt", WORDS)
    put(mirror, "drive/data.zip", zipped(FILES))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))  # the kernel refuses every byte after these
    try:
        for origin in (a_file([]), an_archive([])):
            with pytest.raises(UserError, match="could not be written.*File too large"):
                fetch(origin, tmp_path / "out", str(mirror), quick())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left_in(tmp_path / "out") == []


# What is there already


def test_what_is_there_already_is_not_fetched_again(tmp_path, site, capsys):
    site.pages |= {"/words.txt": WORDS, "/data.zip": zipped(FILES)}
    for _ in range(2):
        fetch(a_file([site.address]), tmp_path, None, quick())
        fetch(an_archive([f"{site.address}/data.zip"]), tmp_path, None, quick())
    assert dict(site.asked) == {"/words.txt": 1, "/data.zip": 1}
    assert capsys.readouterr().err.count("all there already") == 2


def test_what_is_there_but_altered_is_fetched_again(tmp_path, site):
    site.pages |= {"/words.txt": WORDS, "/data.zip": zipped(FILES)}
    put(tmp_path, "words.txt", WORDS[:-1])
    put(tmp_path, "drive.zip", zipped(FILES | {"IMG/center_2.jpg": b"TWO" * 9}, inside=""))
    fetch(a_file([site.address]), tmp_path, None, quick())
    fetch(an_archive([f"{site.address}/data.zip"]), tmp_path, None, quick())
    assert dict(site.asked) == {"/words.txt": 1, "/data.zip": 1}
    assert (tmp_path / "words.txt").read_bytes() == WORDS


def test_who_reads_the_old_file_never_sees_a_part_of_the_new_one(tmp_path, site):
    site.pages["/words.txt"] = WORDS
    put(tmp_path, "words.txt", b"old words")
    with open(tmp_path / "words.txt", "rb") as reader:
        fetch(a_file([site.address]), tmp_path, None, quick())
        assert reader.read() == b"old words"
    assert (tmp_path / "words.txt").read_bytes() == WORDS


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    mirror = put(tmp_path / "mirror", "texts/words.txt", WORDS)
    put(tmp_path / "out", ".words.txt.123.part", WORDS[:100])
    put(tmp_path / "out", ".abc.part/archive", b"PK")
    fetch(a_file([]), tmp_path / "out", str(mirror), quick())
    assert left_in(tmp_path / "out") == ["words.txt"]


# Archives


def drive_from(tmp_path: Path, packed: bytes, files: dict[str, bytes] = FILES) -> bytes:
    """The stored zip that `packed` in a mirror becomes."""
    mirror = put(tmp_path / "mirror", "drive/data.zip", packed)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    fetch(an_archive([], files), tmp_path / "out", str(mirror), quick())
    return (tmp_path / "out/drive.zip").read_bytes()


def test_mirror_and_public_archive_give_the_same_bytes(tmp_path, site):
    public = {"IMG/left_1.jpg": b"left", **dict(reversed(FILES.items())), "IMG/right_1.jpg": b"right"}
    site.pages |= {"/data.zip": zipped(public), "/data.tar.gz": tarred(public)}
    from_mirror = drive_from(tmp_path, zipped(FILES, compression=zipfile.ZIP_STORED))
    for name in ("data.zip", "data.tar.gz"):
        fetch(an_archive([f"{site.address}/{name}"]), tmp_path / name, None, quick())
        assert left_in(tmp_path / name) == ["drive.zip"]
        assert (tmp_path / name / "drive.zip").read_bytes() == from_mirror


def test_the_packed_zip_is_stored_sorted_and_without_time_or_owner(tmp_path):
    with zipfile.ZipFile(io.BytesIO(drive_from(tmp_path, zipped(FILES)))) as archive:
        entries = archive.infolist()
        assert {entry.filename: archive.read(entry) for entry in entries} == FILES
    assert [entry.filename for entry in entries] == sorted(FILES)
    assert {(entry.compress_type, entry.date_time) for entry in entries} == {(0, (1980, 1, 1, 0, 0, 0))}
    assert {stat.filemode(entry.external_attr >> 16) for entry in entries} == {"-rw-r--r--"}


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def zipped_with(info: zipfile.ZipInfo, content: bytes) -> bytes:
    packed = io.BytesIO(zipped(FILES))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(info, content)
    return packed.getvalue()


CLIMBING = [
    "data/IMG/center_/../../../evil.jpg",
    "../evil",
    "/evil",
    "C:/evil",
    "..\\evil",
    "\\evil",
    "data/..",
]


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("pack", [zipped_with, lambda info, _: tarred(FILES, tarfile.TarInfo(info.filename))])
def test_a_member_that_climbs_out_is_refused(tmp_path, name, pack):
    with pytest.raises(UserError, match=r"not safe: the member .* leaves the folder"):
        drive_from(tmp_path, pack(entry(name, stat.S_IFREG | 0o644), b"evil"))
    assert left_in(tmp_path / "out") == [] and left_in(tmp_path) == ["mirror", "out"]


def test_a_link_or_device_member_is_refused(tmp_path):
    archives = [zipped_with(entry("data/IMG/center_3.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd")]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("data/IMG/center_3.jpg")
        info.type, info.linkname = kind, "data/driving_log.csv"
        archives.append(tarred(FILES, info))
    for packed in archives:
        with pytest.raises(UserError, match="is a link or a device"):
            drive_from(tmp_path, packed)
        assert left_in(tmp_path / "out") == []


def test_members_outside_the_folder_are_not_used(tmp_path):
    packed = zipped_with(entry("driving_log.csv", stat.S_IFREG | 0o644), b"of another recording")
    assert drive_from(tmp_path, packed) == drive_from(tmp_path, zipped(FILES))


def test_a_link_elsewhere_in_a_public_archive_does_no_harm(tmp_path):
    packed = zipped_with(entry("data/docs/latest", stat.S_IFLNK | 0o777), b"/etc/passwd")
    assert drive_from(tmp_path, packed) == drive_from(tmp_path, zipped(FILES))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    twice = zipped_with(entry("data/driving_log.csv", stat.S_IFREG | 0o644), b"")
    for packed in (twice, tarred(FILES, tarfile.TarInfo("data/driving_log.csv"))):
        with pytest.raises(UserError, match="is there twice"):
            drive_from(tmp_path, packed)


def refused_with_peak(tmp_path: Path, packed: bytes) -> tuple[str, int]:
    """The message, and the most bytes of memory that were held on the way."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as error:
            drive_from(tmp_path, packed)
        return str(error.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_is_refused_by_its_declared_size(tmp_path):
    bomb = zipped(FILES | {"IMG/center_2.jpg": bytes(50 * 2**20)})
    message, peak = refused_with_peak(tmp_path, bomb)
    assert "52,429,737 bytes, expected 964" in message
    assert peak < 5 * 2**20
    assert left_in(tmp_path / "out") == []


def test_a_bomb_that_lies_about_its_size_is_cut_off(tmp_path):
    size = 50 * 2**20
    bomb = zipped(FILES | {"IMG/center_2.jpg": bytes(size)})
    assert bomb.count(size.to_bytes(4, "little")) == 2  # in the member's header, and in the directory at the end
    bomb = bomb.replace(size.to_bytes(4, "little"), len(FILES["IMG/center_2.jpg"]).to_bytes(4, "little"))
    message, peak = refused_with_peak(tmp_path, bomb)
    assert "damaged or cut short" in message
    assert peak < 5 * 2**20
    assert left_in(tmp_path / "out") == []


def test_a_tar_that_unpacks_without_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_reader, "LARGEST", 2**20)
    with pytest.raises(UserError, match="expected at most 1,048,576"):
        drive_from(tmp_path, tarred(FILES | {"other": bytes(50 * 2**20)}))
    assert left_in(tmp_path / "out") == []


DAMAGED = {
    "an altered member": zipped(FILES | {"IMG/center_2.jpg": b"TWO" * 9}),
    "a renamed member": zipped({path.replace("_2", "_3"): content for path, content in FILES.items()}),
    "a missing member": zipped({"driving_log.csv": FILES["driving_log.csv"]}),
    "no member in the folder": zipped(FILES, inside="elsewhere/"),
    "a zip cut short": zipped(FILES)[:-40],
    "flipped bytes": zipped(FILES, compression=zipfile.ZIP_STORED).replace(b"twotwo", b"twoowt"),
    "a tar cut short": tarred(FILES)[:-40],
    "a gzip of something else": gzip.compress(b"not a tar" * 1000),
    "a web page": b"<html>please log in</html>",
    "an empty file": b"",
    "only a start": b"PK",
}


@pytest.mark.parametrize("held", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_named_and_the_next_address_tried(tmp_path, site, held, capsys):
    site.pages["/data.zip"] = zipped(FILES)
    mirror = put(tmp_path / "mirror", "drive/data.zip", held)
    fetch(an_archive([f"{site.address}/data.zip"]), tmp_path / "out", str(mirror), quick())
    assert f"{mirror}/drive/data.zip: " in capsys.readouterr().err
    with pytest.raises(UserError, match=r"drive/data\.zip: (altered|damaged|neither)"):
        drive_from(tmp_path, held)
    assert left_in(tmp_path / "out") == []


def test_no_flipped_byte_of_an_archive_goes_unnoticed(tmp_path):
    """Either the bytes come out as pinned, or one message: never something else, never a traceback."""
    for packed in (zipped(FILES), tarred(FILES)):
        right = drive_from(tmp_path, packed)
        for place in range(0, len(packed), 7):
            altered = bytearray(packed)
            altered[place] ^= 0xFF
            try:
                assert drive_from(tmp_path, bytes(altered)) == right
            except UserError:
                assert left_in(tmp_path / "out") == []


# Samples: made from a seed, or found on the machine


@pytest.fixture
def inference_api(monkeypatch):
    """A room whose `samples.make` is set by the test."""
    samples = SimpleNamespace()
    monkeypatch.setattr(generated.rooms, "leg", lambda task, name: {("numbers", "samples"): samples}[task, name])
    return samples


def a_sample(**more) -> dict:
    return {"name": "sample_numbers", "made": {"task": "numbers", "arguments": {"count": 3}, **more}}


def make_numbers(out: Path, count: int) -> None:
    (out / "numbers.txt").write_text("".join(f"{number}\n" for number in range(count)))


NUMBERS = sha256(f"{sha256(b'0 1 2 '.replace(b' ', bytes([10])))}  numbers.txt\n".encode())


def test_made_samples_are_pinned_like_any_other(tmp_path, room):
    room.make = make_numbers
    fetch(a_sample(digest=NUMBERS), tmp_path, None)
    assert left_in(tmp_path) == ["numbers.txt"]
    room.make = None  # it would fail if it were called again
    fetch(a_sample(digest=NUMBERS), tmp_path, None)


def test_made_samples_that_differ_from_what_is_pinned_are_refused(tmp_path, room):
    room.make = make_numbers
    with pytest.raises(UserError, match=rf"{NUMBERS}, expected {'0' * 64}.*constraints\.txt"):
        fetch(a_sample(digest="0" * 64), tmp_path, None)
    assert left_in(tmp_path) == []


def test_found_samples_record_the_version_and_digest_of_what_was_found(tmp_path, room):
    room.make = lambda out, count: make_numbers(out, count) or {"python": "3.11"}
    fetch(a_sample(), tmp_path, None)
    assert left_in(tmp_path) == ["found.json", "numbers.txt"]
    found = {"python": "3.11", "files": {"numbers.txt": sha256((tmp_path / "numbers.txt").read_bytes())}}
    assert json.loads((tmp_path / "found.json").read_text()) == found
    first = (tmp_path / "found.json").read_bytes()
    fetch(a_sample(), tmp_path, None)
    assert (tmp_path / "found.json").read_bytes() == first


def test_samples_that_fail_half_way_leave_no_file(tmp_path, room):
    def fail(out: Path, count: int) -> None:
        make_numbers(out, count)
        raise OSError(28, "No space left on device")

    room.make = fail
    with pytest.raises(UserError, match="No space left on device"):
        fetch(a_sample(), tmp_path, None)
    assert left_in(tmp_path) == []


# Configs


def test_every_origin_config_is_wellformed():
    assert len(ORIGINS) >= 10
    for path in ORIGINS:
        origin = yaml.safe_load(path.read_text())
        assert origin["name"] == path.stem and isinstance(origin["licence"], str)
        (kind,) = set(KINDS) & set(origin)
        assert set(origin) == {"name", "licence", kind} | ({"urls"} if kind != "made" else set())
        assert all(re.fullmatch(r"https?://[^\s?#]+", url) for url in origin.get("urls", []))
        for name, pinned in origin.get("files", {}).items():
            assert re.fullmatch(r"\w[\w.-]*", name) and set(pinned) == {"sha256", "bytes"}
            assert re.fullmatch("[0-9a-f]{64}", pinned["sha256"]) and pinned["bytes"] > 0
        if kind == "archive":
            archive = Archive(**origin["archive"])
            assert re.fullmatch("[0-9a-f]{64}", archive.digest) and archive.bytes > 0
            assert archive.inside.endswith("/") and archive.members


def test_a_wrong_key_in_an_origin_names_the_nearest_right_one(tmp_path):
    origin = an_archive([])
    origin["archive"]["digset"] = origin["archive"].pop("digest")
    with pytest.raises(UserError, match=r"conf/origin/drive\.yaml, archive.*'digset'.*'digest'"):
        fetch(origin, tmp_path, None)
    with pytest.raises(UserError, match="exactly one of the keys files, archive, made"):
        fetch({"name": "texts", "urls": []}, tmp_path, None)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LECTERN_MIRROR"), reason="LECTERN_MIRROR is not set")
@pytest.mark.parametrize("path", ORIGINS, ids=lambda path: path.stem)
def test_the_real_mirror_holds_what_is_pinned(tmp_path, path):
    origin = yaml.safe_load(path.read_text())
    if "urls" in origin:
        fetch({**origin, "urls": []}, tmp_path, os.environ["LECTERN_MIRROR"])
        assert left_in(tmp_path) == sorted(origin.get("files", [f"{path.stem}.zip"]))
