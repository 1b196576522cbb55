"""Test that each downloaded file is verified against its pinned digest.

A file with another digest never gets the final name.
"""

import io
import os
import re
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from children import in_child
from download_server import (
    MEMBERS,
    TEXT,
    FileServer,
    archive_origin,
    fast_downloader,
    file_origin,
    list_entries,
    running_file_server,
    sha256,
    write_file,
    zip_archive,
)
from lectern.download import http
from lectern.download.fetch import download_origin
from lectern.errors import UserError


@pytest.fixture
def server(monkeypatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    with running_file_server() as server:
        yield server


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
