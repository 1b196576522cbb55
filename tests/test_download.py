"""Test that each downloaded file is verified against its pinned digest.

A file with another digest never gets the final name.
"""

import io
import json
import os
import re
import resource
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import yaml
from urllib3.exceptions import MaxRetryError

from children import in_child
from download_server import (
    MEMBERS,
    TEXT,
    FileServer,
    archive_origin,
    endless_page,
    error_page,
    fast_downloader,
    file_origin,
    list_entries,
    redirect,
    running_file_server,
    send,
    sha256,
    write_file,
    zip_archive,
)
from lectern.download import generated, http
from lectern.download.checks import SourceRejected
from lectern.download.fetch import SOURCES, download_origin
from lectern.download.http import Downloader
from lectern.download.repack import Archive
from lectern.errors import UserError

ORIGIN_CONFIGS = sorted((Path(__file__).parents[1] / "conf" / "origin").glob("*.yaml"))


@pytest.fixture
def server(monkeypatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    with running_file_server() as server:
        yield server


@pytest.fixture
def closed_address() -> str:
    """Return an address on which no server listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


# Mirror and public addresses


def test_the_mirror_is_tried_before_the_public_addresses(tmp_path, server):
    server.pages["/text.txt"] = TEXT
    mirror = write_file(tmp_path / "mirror", "texts/text.txt", TEXT)
    download_origin(file_origin([server.address]), tmp_path / "out", str(mirror), fast_downloader())
    assert (tmp_path / "out/text.txt").read_bytes() == TEXT
    assert not server.requests


def test_the_mirror_can_be_a_url(tmp_path, server):
    server.pages["/mirror/texts/text.txt"] = TEXT
    download_origin(file_origin([server.address]), tmp_path, f"{server.address}/mirror/", fast_downloader())
    assert (tmp_path / "text.txt").read_bytes() == TEXT
    assert dict(server.requests) == {"/mirror/texts/text.txt": 1}


def test_public_addresses_are_tried_in_order_if_the_mirror_lacks_a_file(tmp_path, server):
    (tmp_path / "mirror").mkdir()
    server.pages |= {"/second/text.txt": TEXT, "/third/text.txt": TEXT}
    urls = [f"{server.address}/{folder}/" for folder in ("first", "second", "third")]
    download_origin(file_origin(urls), tmp_path / "out", str(tmp_path / "mirror"), fast_downloader())
    assert (tmp_path / "out/text.txt").read_bytes() == TEXT
    assert dict(server.requests) == {"/first/text.txt": 1, "/second/text.txt": 1}


def test_a_mirror_folder_that_does_not_exist_is_an_error(tmp_path, server):
    for origin in (file_origin([server.address]), archive_origin([f"{server.address}/data.zip"])):
        with pytest.raises(UserError, match=r"missing is not a folder.*LECTERN_MIRROR"):
            download_origin(origin, tmp_path / "out", str(tmp_path / "missing"), fast_downloader())
    assert not server.requests


@pytest.mark.parametrize("content", [TEXT[:-7], TEXT.replace(b"not", b"now"), TEXT + b"x" * 10_000])
def test_an_altered_file_in_the_mirror_is_reported_and_the_next_address_is_tried(tmp_path, server, content, capsys):
    mirror = write_file(tmp_path / "mirror", "texts/text.txt", content)
    server.pages["/text.txt"] = TEXT
    download_origin(file_origin([server.address]), tmp_path / "out", str(mirror), fast_downloader())
    assert (tmp_path / "out/text.txt").read_bytes() == TEXT
    line = next(line for line in capsys.readouterr().err.splitlines() if "mirror/texts/text.txt" in line)
    assert sha256(content) in line and sha256(TEXT) in line and f"{len(content):,} bytes" in line


def test_an_unreadable_file_in_the_mirror_is_reported_and_the_next_address_is_tried(tmp_path, server, capsys):
    mirror = write_file(tmp_path / "mirror", "texts/text.txt/a-folder-instead-of-a-file", TEXT)
    write_file(mirror, "drive/data.zip/a-folder-instead-of-a-file", b"")
    server.pages |= {"/text.txt": TEXT, "/data.zip": zip_archive(MEMBERS)}
    download_origin(file_origin([server.address]), tmp_path / "out", str(mirror), fast_downloader())
    download_origin(archive_origin([f"{server.address}/data.zip"]), tmp_path / "out", str(mirror), fast_downloader())
    assert list_entries(tmp_path / "out") == ["drive.zip", "text.txt"]
    assert capsys.readouterr().err.count("cannot be read: Is a directory") == 2


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """Yield a folder that belongs to an ordinary user, and run the test as this user.

    File permissions have no effect for root.
    """
    with tempfile.TemporaryDirectory() as folder:
        user = os.geteuid()
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield Path(folder)
        os.seteuid(user)


def test_missing_permissions_are_reported(unprivileged_folder):
    mirror = write_file(unprivileged_folder / "mirror", "texts/text.txt", TEXT)
    out = unprivileged_folder / "out"
    (mirror / "texts/text.txt").chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        download_origin(file_origin([]), out, str(mirror), fast_downloader())
    (mirror / "texts/text.txt").chmod(0o644)
    out.chmod(0o500)
    with pytest.raises(UserError, match=r"could not be written.*Permission denied.*Make the folder writable"):
        download_origin(file_origin([]), out, str(mirror), fast_downloader())
    assert list_entries(out) == []


def test_an_output_folder_that_cannot_be_created_is_reported(tmp_path):
    write_file(tmp_path, "data", b"a file instead of a folder")
    with pytest.raises(UserError, match=r"data/raw could not be written.*Check the folder"):
        download_origin(file_origin([]), tmp_path / "data" / "raw", None, fast_downloader())


def test_a_file_in_a_subfolder_is_downloaded_and_a_path_outside_the_folder_is_rejected(tmp_path):
    mirror = write_file(tmp_path / "mirror", "texts/part/one/text.txt", TEXT)
    origin = file_origin([])
    (pinned,) = origin["files"].values()
    download_origin(
        {**origin, "files": {"part/one/text.txt": pinned}}, tmp_path / "out", str(mirror), fast_downloader()
    )
    assert (tmp_path / "out/part/one/text.txt").read_bytes() == TEXT
    for name in ("../text.txt", "/text.txt", "part/../../text.txt"):
        with pytest.raises(UserError, match="is not a path inside the folder of the origin"):
            download_origin({**origin, "files": {name: pinned}}, tmp_path / "out", str(mirror), fast_downloader())


# Failed transfers


def test_a_truncated_transfer_leaves_no_file(tmp_path, server):
    server.pages["/text.txt"] = send(TEXT[:5000], length=len(TEXT))
    with pytest.raises(UserError, match="5000 bytes read, 5000 more expected"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []
    assert server.requests["/text.txt"] == 2


@pytest.mark.parametrize("first", [send(TEXT[:5000], length=len(TEXT)), error_page(503), error_page(429)])
def test_a_broken_transfer_is_repeated(tmp_path, server, first):
    server.pages["/text.txt"] = [first, send(TEXT)]
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert (tmp_path / "text.txt").read_bytes() == TEXT
    assert server.requests["/text.txt"] == 2


def test_a_missing_file_is_requested_only_once(tmp_path, server):
    with pytest.raises(UserError, match="HTTP 404 Not Found"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert server.requests["/text.txt"] == 1


def test_a_redirect_is_followed(tmp_path, server):
    server.pages |= {"/text.txt": redirect(f"{server.address}/moved/text.txt"), "/moved/text.txt": TEXT}
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert (tmp_path / "text.txt").read_bytes() == TEXT


def test_an_endless_redirect_is_an_error(tmp_path, server):
    server.pages["/text.txt"] = redirect(f"{server.address}/text.txt")
    with pytest.raises(UserError, match="Exceeded 30 redirects"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []


def test_a_stalled_transfer_times_out(tmp_path, server):
    server.pages["/text.txt"] = lambda handler: time.sleep(1)
    with pytest.raises(UserError, match="timed out"):
        downloader = Downloader(attempts=2, backoff=0.01, read_timeout=0.1)
        download_origin(file_origin([server.address]), tmp_path, None, downloader)
    assert list_entries(tmp_path) == []


def test_wrong_content_is_an_error_with_both_digests(tmp_path, server):
    server.pages["/text.txt"] = b"<html>please log in</html>"
    with pytest.raises(UserError) as error:
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert sha256(TEXT) in str(error.value) and sha256(b"<html>please log in</html>") in str(error.value)
    assert list_entries(tmp_path) == []


@pytest.mark.parametrize("page", [endless_page, send(b"", length=10**12)])
def test_a_response_larger_than_the_pinned_size_is_aborted(tmp_path, server, page):
    server.pages["/text.txt"] = page
    with pytest.raises(UserError, match=r"expected at most 10,000"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []


def test_the_server_is_asked_not_to_compress_the_response(tmp_path, server):
    encodings = []
    server.pages["/text.txt"] = lambda handler: (
        encodings.append(handler.headers["Accept-Encoding"]),
        send(TEXT)(handler),
    )
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert encodings == ["identity"]


def test_without_a_network_the_error_names_every_address_the_mirror_setting_and_make_demo(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for origin in (yaml.safe_load(path.read_text()) for path in ORIGIN_CONFIGS):
        if "urls" not in origin:
            continue
        started = time.monotonic()
        with pytest.raises(UserError) as error:
            download_origin(origin, tmp_path / origin["name"], None)
        assert time.monotonic() - started < 10
        message = str(error.value)
        assert all(url in message for url in origin["urls"]), message
        assert message.count("Temporary failure in name resolution") == len(origin["urls"])
        assert "LECTERN_MIRROR" in message and "make demo" in message
        assert list_entries(tmp_path / origin["name"]) == []


def test_an_unreachable_host_is_tried_only_once(tmp_path, server, closed_address, monkeypatch):
    texts = {f"{number}.txt": bytes([65 + number]) * 9 for number in range(5)}
    origin = {
        "name": "texts",
        "urls": [closed_address, server.address],
        "files": {name: {"sha256": sha256(text), "bytes": 9} for name, text in texts.items()},
    }
    server.pages = {f"/{name}": text for name, text in texts.items()}
    requested = Counter()
    get = requests.get

    def counting_get(url, **options):
        requested[url.rpartition("/")[0]] += 1
        return get(url, **options)

    monkeypatch.setattr(requests, "get", counting_get)
    download_origin(origin, tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == sorted(texts)
    assert requested == {closed_address: 1, server.address: 5}


def test_waiting_for_unreachable_hosts_takes_at_most_ten_seconds_in_total(tmp_path, monkeypatch):
    clock, timeouts = [0.0], []

    def get(url, timeout, **_):
        timeouts.append(timeout[0])
        clock[0] += timeout[0]
        raise requests.ConnectionError(MaxRetryError(None, url, TimeoutError("timed out")))

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    downloader = Downloader()
    for number in range(5):
        with pytest.raises(SourceRejected, match="timed out"):
            downloader.download(f"http://host{number}.invalid/text.txt", tmp_path / "text.txt", 1)
    assert sum(timeouts) <= 10.5 and len(timeouts) == 5


def test_passwords_in_addresses_are_never_printed(tmp_path, server, capsys):
    mirror = server.address.replace("http://", "http://reader:secret@")
    with pytest.raises(UserError) as error:
        download_origin(file_origin(["http://me:secret@nowhere.invalid"]), tmp_path, mirror, fast_downloader())
    assert "secret" not in str(error.value) + capsys.readouterr().err
    assert f"http://***@{server.address.removeprefix('http://')}" in str(error.value)


# Disk space and interruptions


def test_the_disk_space_is_printed_first_and_then_one_line_per_file(tmp_path, capsys):
    mirror = write_file(tmp_path / "mirror", "texts/text.txt", TEXT)
    download_origin(file_origin([]), tmp_path / "out", str(mirror), fast_downloader())
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"texts: 0\.0 MiB to download, [\d,.]+ GiB of disk space free", lines[0])
    assert lines[1:] == [f"texts: text.txt from {mirror}/texts/text.txt"]


def test_a_full_disk_is_reported_before_the_download(tmp_path, server, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(TEXT) - 1))
    server.pages |= {"/text.txt": TEXT, "/data.zip": zip_archive(MEMBERS)}
    with pytest.raises(UserError, match="not enough disk space"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError, match="not enough disk space"):
        download_origin(archive_origin([f"{server.address}/data.zip"]), tmp_path, None, fast_downloader())
    assert not server.requests and list_entries(tmp_path) == []


def test_a_disk_that_fills_up_during_a_download_leaves_no_file(tmp_path, server, monkeypatch):
    server.pages["/text.txt"] = TEXT
    # every write to /dev/full fails with "No space left on device"
    monkeypatch.setattr(http, "open", lambda *_: io.FileIO("/dev/full", "w"), raising=False)
    with pytest.raises(UserError, match=r"could not be written.*No space left on device.*Free some space"):
        download_origin(file_origin([server.address, server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []
    assert server.requests["/text.txt"] == 1  # The download is not repeated, because another address would not help.


def test_a_file_size_limit_leaves_no_file(tmp_path):
    mirror = write_file(tmp_path / "mirror", "texts/text.txt", TEXT)
    write_file(mirror, "drive/data.zip", zip_archive(MEMBERS))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        for origin in (file_origin([]), archive_origin([])):
            with pytest.raises(UserError, match=r"could not be written.*File too large"):
                download_origin(origin, tmp_path / "out", str(mirror), fast_downloader())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list_entries(tmp_path / "out") == []


def test_ctrl_c_during_a_download_leaves_no_file(tmp_path, server, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    server.pages |= {"/text.txt": TEXT, "/data.zip": zip_archive(MEMBERS)}
    monkeypatch.setattr(http, "check_size_limit", interrupt)
    for origin in (file_origin([server.address]), archive_origin([f"{server.address}/data.zip"])):
        with pytest.raises(KeyboardInterrupt):
            download_origin(origin, tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []


def test_the_leftovers_of_a_killed_download_are_deleted(tmp_path, server, monkeypatch):
    server.pages |= {"/text.txt": TEXT, "/data.zip": zip_archive(MEMBERS)}
    with monkeypatch.context() as patch:
        patch.setattr(http, "check_size_limit", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        for origin in (file_origin([server.address]), archive_origin([f"{server.address}/data.zip"])):
            assert in_child(download_origin, origin, tmp_path, None, fast_downloader()).code == -signal.SIGKILL
            assert all(name.endswith(".part") for name in list_entries(tmp_path)) and list_entries(tmp_path)
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == ["text.txt"]


# Files that are already present


def test_present_files_are_not_downloaded_again(tmp_path, server, capsys):
    server.pages |= {"/text.txt": TEXT, "/data.zip": zip_archive(MEMBERS)}
    for _ in range(2):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
        download_origin(archive_origin([f"{server.address}/data.zip"]), tmp_path, None, fast_downloader())
    assert dict(server.requests) == {"/text.txt": 1, "/data.zip": 1}
    assert capsys.readouterr().err.count("all files are present") == 2


def test_altered_files_are_downloaded_again(tmp_path, server):
    server.pages |= {"/text.txt": TEXT, "/data.zip": zip_archive(MEMBERS)}
    write_file(tmp_path, "text.txt", TEXT[:-1])
    write_file(tmp_path, "drive.zip", zip_archive(MEMBERS | {"IMG/center_2.jpg": b"TWO" * 9}, inside=""))
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    download_origin(archive_origin([f"{server.address}/data.zip"]), tmp_path, None, fast_downloader())
    assert dict(server.requests) == {"/text.txt": 1, "/data.zip": 1}
    assert (tmp_path / "text.txt").read_bytes() == TEXT


def test_an_open_reader_of_the_old_file_never_sees_the_new_content(tmp_path, server):
    server.pages["/text.txt"] = TEXT
    write_file(tmp_path, "text.txt", b"old text")
    with open(tmp_path / "text.txt", "rb") as reader:
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
        assert reader.read() == b"old text"
    assert (tmp_path / "text.txt").read_bytes() == TEXT


# Generated samples


@pytest.fixture
def samples(monkeypatch) -> SimpleNamespace:
    """Replace the module `data.samples` of a task named `numbers`. The test sets the function `make` of this module."""
    samples = SimpleNamespace()
    modules = {("numbers", "data.samples"): samples}
    monkeypatch.setattr(generated.task_modules, "task_module", lambda task, name: modules[task, name])
    return samples


def sample_origin(**more) -> dict:
    return {"name": "sample_numbers", "generated": {"task": "numbers", "arguments": {"count": 3}, **more}}


def write_numbers(out: Path, count: int) -> None:
    (out / "numbers.txt").write_text("".join(f"{number}\n" for number in range(count)))


DIGEST = sha256(f"{sha256(b'0 1 2 '.replace(b' ', bytes([10])))}  numbers.txt\n".encode())


def test_generated_samples_are_verified_and_kept(tmp_path, samples):
    samples.make = write_numbers
    download_origin(sample_origin(digest=DIGEST), tmp_path, None)
    assert list_entries(tmp_path) == ["numbers.txt"]
    samples.make = None  # A second call of `make` would fail.
    download_origin(sample_origin(digest=DIGEST), tmp_path, None)


def test_generated_samples_with_another_digest_are_rejected(tmp_path, samples):
    samples.make = write_numbers
    with pytest.raises(UserError, match=rf"{DIGEST}, expected {'0' * 64}.*constraints\.txt"):
        download_origin(sample_origin(digest="0" * 64), tmp_path, None)
    assert list_entries(tmp_path) == []


def test_the_versions_of_sample_sources_are_recorded_with_the_file_digests(tmp_path, samples):
    samples.make = lambda out, count: write_numbers(out, count) or {"python": "3.11"}
    download_origin(sample_origin(), tmp_path, None)
    assert list_entries(tmp_path) == ["numbers.txt", "sample_source.json"]
    record = {"python": "3.11", "files": {"numbers.txt": sha256((tmp_path / "numbers.txt").read_bytes())}}
    first = (tmp_path / "sample_source.json").read_bytes()
    assert json.loads(first) == record
    download_origin(sample_origin(), tmp_path, None)
    assert (tmp_path / "sample_source.json").read_bytes() == first


def test_samples_that_fail_during_generation_leave_no_file(tmp_path, samples):
    def fail(out: Path, count: int) -> None:
        write_numbers(out, count)
        raise OSError(28, "No space left on device")

    samples.make = fail
    with pytest.raises(UserError, match="No space left on device"):
        download_origin(sample_origin(), tmp_path, None)
    assert list_entries(tmp_path) == []


# Configs


@pytest.mark.parametrize("path", ORIGIN_CONFIGS, ids=lambda path: path.stem)
def test_every_origin_config_is_valid(path):
    origin = yaml.safe_load(path.read_text())
    assert origin["name"] == path.stem and isinstance(origin["licence"], str)
    (kind,) = set(SOURCES) & set(origin)
    assert set(origin) == {"name", "licence", kind} | ({"urls"} if kind != "generated" else set())
    assert all(re.fullmatch(r"https?://[^\s?#]+", url) for url in origin.get("urls", []))
    for name, pinned in origin.get("files", {}).items():
        assert re.fullmatch(r"\w[\w.-]*", name) and set(pinned) == {"sha256", "bytes"}
        assert re.fullmatch("[0-9a-f]{64}", pinned["sha256"]) and pinned["bytes"] > 0
    if kind == "archive":
        archive = Archive(**origin["archive"])
        assert re.fullmatch("[0-9a-f]{64}", archive.digest) and archive.bytes > 0
        assert archive.inside.endswith("/") and archive.members


def test_an_unknown_key_in_an_origin_config_is_reported_with_the_nearest_valid_key(tmp_path):
    origin = archive_origin([])
    origin["archive"]["digset"] = origin["archive"].pop("digest")
    with pytest.raises(UserError, match=r"conf/origin/drive\.yaml, archive.*'digset'.*'digest'"):
        download_origin(origin, tmp_path, None)
    with pytest.raises(UserError, match="exactly one of the keys files, archive, generated"):
        download_origin({"name": "texts", "urls": []}, tmp_path, None)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LECTERN_MIRROR"), reason="LECTERN_MIRROR is not set")
@pytest.mark.parametrize("path", ORIGIN_CONFIGS, ids=lambda path: path.stem)
def test_the_real_mirror_has_the_pinned_files(tmp_path, path):
    origin = yaml.safe_load(path.read_text())
    if "urls" in origin:
        download_origin({**origin, "urls": []}, tmp_path, os.environ["LECTERN_MIRROR"])
        assert list_entries(tmp_path) == sorted(origin.get("files", [f"{path.stem}.zip"]))
