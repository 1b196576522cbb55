"""Test that used members of archives are verified and repacked, and that unsafe or damaged archives are rejected."""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from download_server import (
    MEMBERS,
    FileServer,
    archive_origin,
    fast_downloader,
    list_entries,
    running_file_server,
    tar_archive,
    write_file,
    zip_archive,
)
from lectern.download import archive_reader
from lectern.download.fetch import download_origin
from lectern.errors import UserError


@pytest.fixture
def server(monkeypatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    with running_file_server() as server:
        yield server


def repack_from_mirror(tmp_path: Path, archive: bytes, members: dict[str, bytes] = MEMBERS) -> bytes:
    """Return the zip file that the download stage writes if the mirror contains this archive."""
    mirror = write_file(tmp_path / "mirror", "drive/data.zip", archive)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    download_origin(archive_origin([], members), tmp_path / "out", str(mirror), fast_downloader())
    return (tmp_path / "out/drive.zip").read_bytes()


def test_zip_and_tar_and_mirror_give_identical_bytes(tmp_path, server):
    public = {"IMG/left_1.jpg": b"left", **dict(reversed(MEMBERS.items())), "IMG/right_1.jpg": b"right"}
    server.pages |= {"/data.zip": zip_archive(public), "/data.tar.gz": tar_archive(public)}
    from_mirror = repack_from_mirror(tmp_path, zip_archive(MEMBERS, compression=zipfile.ZIP_STORED))
    for name in ("data.zip", "data.tar.gz"):
        download_origin(archive_origin([f"{server.address}/{name}"]), tmp_path / name, None, fast_downloader())
        assert list_entries(tmp_path / name) == ["drive.zip"]
        assert (tmp_path / name / "drive.zip").read_bytes() == from_mirror


TAR = gzip.decompress(tar_archive(MEMBERS))
EQUAL_ARCHIVES = {
    "backslashes": zip_archive({name.replace("/", "\\"): content for name, content in MEMBERS.items()}),
    "files of macOS": zip_archive({**MEMBERS, **{f"__MACOSX/._{name}": b"" for name in MEMBERS}, "IMG/._a.jpg": b"x"}),
    "names that start with ./": tar_archive(MEMBERS, inside="./data/"),
    "tar": TAR,
    "tar.bz2": bz2.compress(TAR),
    "tar.xz": lzma.compress(TAR),
}


@pytest.mark.parametrize("archive", EQUAL_ARCHIVES.values(), ids=EQUAL_ARCHIVES)
def test_other_archives_of_the_same_members_give_identical_bytes(tmp_path, archive):
    assert repack_from_mirror(tmp_path, archive) == repack_from_mirror(tmp_path, zip_archive(MEMBERS))


def test_the_repacked_zip_is_uncompressed_sorted_and_has_no_time_or_owner(tmp_path):
    with zipfile.ZipFile(io.BytesIO(repack_from_mirror(tmp_path, zip_archive(MEMBERS)))) as archive:
        entries = archive.infolist()
        assert {entry.filename: archive.read(entry) for entry in entries} == MEMBERS
    assert [entry.filename for entry in entries] == sorted(MEMBERS)
    assert {(entry.compress_type, entry.date_time) for entry in entries} == {(0, (1980, 1, 1, 0, 0, 0))}
    assert {stat.filemode(entry.external_attr >> 16) for entry in entries} == {"-rw-r--r--"}


def test_an_archive_needs_disk_space_for_itself_and_for_its_used_members(tmp_path, server, monkeypatch):
    archive = zip_archive(MEMBERS, compression=zipfile.ZIP_STORED)
    server.pages["/data.zip"] = archive
    origin = archive_origin([f"{server.address}/data.zip"])
    needed = len(archive) + origin["archive"]["bytes"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(UserError, match="not enough disk space"):
        download_origin(origin, tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    download_origin(origin, tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == ["drive.zip"]


# Unsafe members


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def zip_with_entry(info: zipfile.ZipInfo, content: bytes) -> bytes:
    """Return a zip file with the members and one additional entry."""
    buffer = io.BytesIO(zip_archive(MEMBERS))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, content)
    return buffer.getvalue()


UNSAFE_NAMES = [
    "data/IMG/center_/../../../evil.jpg",
    "../evil",
    "/evil",
    "C:/evil",
    "..\\evil",
    "\\evil",
    "data/..",
]


@pytest.mark.parametrize("name", UNSAFE_NAMES)
@pytest.mark.parametrize(
    "pack",
    [zip_with_entry, lambda info, _: tar_archive(MEMBERS, tarfile.TarInfo(info.filename))],
    ids=["zip", "tar"],
)
def test_a_path_outside_the_archive_folder_is_rejected(tmp_path, name, pack):
    with pytest.raises(UserError, match=r"unsafe: the path of member .* points outside the archive folder"):
        repack_from_mirror(tmp_path, pack(zip_entry(name, stat.S_IFREG | 0o644), b"evil"))
    assert list_entries(tmp_path / "out") == [] and list_entries(tmp_path) == ["mirror", "out"]


def test_a_used_member_that_is_a_link_or_a_device_is_rejected(tmp_path):
    archives = [zip_with_entry(zip_entry("data/IMG/center_3.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd")]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("data/IMG/center_3.jpg")
        info.type, info.linkname = kind, "data/driving_log.csv"
        archives.append(tar_archive(MEMBERS, info))
    for archive in archives:
        with pytest.raises(UserError, match="is a link or a device"):
            repack_from_mirror(tmp_path, archive)
        assert list_entries(tmp_path / "out") == []


def test_members_outside_the_used_folder_are_ignored(tmp_path):
    archive = zip_with_entry(zip_entry("driving_log.csv", stat.S_IFREG | 0o644), b"of another recording")
    assert repack_from_mirror(tmp_path, archive) == repack_from_mirror(tmp_path, zip_archive(MEMBERS))


def test_a_link_among_the_unused_members_is_ignored(tmp_path):
    archive = zip_with_entry(zip_entry("data/docs/latest", stat.S_IFLNK | 0o777), b"/etc/passwd")
    assert repack_from_mirror(tmp_path, archive) == repack_from_mirror(tmp_path, zip_archive(MEMBERS))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_member_is_rejected(tmp_path):
    duplicate = zip_with_entry(zip_entry("data/driving_log.csv", stat.S_IFREG | 0o644), b"")
    for archive in (duplicate, tar_archive(MEMBERS, tarfile.TarInfo("data/driving_log.csv"))):
        with pytest.raises(UserError, match="contains member .* twice"):
            repack_from_mirror(tmp_path, archive)


# Decompression bombs and damaged archives


def reject_and_measure(tmp_path: Path, archive: bytes) -> tuple[str, int]:
    """Return the error message for an archive, and the peak of allocated memory in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as error:
            repack_from_mirror(tmp_path, archive)
        return str(error.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_decompression_bomb_is_rejected_by_its_declared_size(tmp_path):
    bomb = zip_archive(MEMBERS | {"IMG/center_2.jpg": bytes(50 * 2**20)})
    message, peak = reject_and_measure(tmp_path, bomb)
    assert "52,429,737 bytes, expected 964" in message
    assert peak < 5 * 2**20
    assert list_entries(tmp_path / "out") == []


def test_a_decompression_bomb_with_a_false_declared_size_is_not_read_to_its_end(tmp_path):
    size = 50 * 2**20
    bomb = zip_archive(MEMBERS | {"IMG/center_2.jpg": bytes(size)})
    # The size occurs in the member's header and in the central directory.
    assert bomb.count(size.to_bytes(4, "little")) == 2
    bomb = bomb.replace(size.to_bytes(4, "little"), len(MEMBERS["IMG/center_2.jpg"]).to_bytes(4, "little"))
    message, peak = reject_and_measure(tmp_path, bomb)
    assert "damaged or truncated" in message
    assert peak < 5 * 2**20
    assert list_entries(tmp_path / "out") == []


def test_decompressing_a_tar_stops_at_the_size_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_reader, "MAX_ARCHIVE_BYTES", 2**20)
    with pytest.raises(UserError, match="expected at most 1,048,576"):
        repack_from_mirror(tmp_path, tar_archive(MEMBERS | {"other": bytes(50 * 2**20)}))
    assert list_entries(tmp_path / "out") == []


DAMAGED_ARCHIVES = {
    "altered member": zip_archive(MEMBERS | {"IMG/center_2.jpg": b"TWO" * 9}),
    "renamed member": zip_archive({path.replace("_2", "_3"): content for path, content in MEMBERS.items()}),
    "missing member": zip_archive({"driving_log.csv": MEMBERS["driving_log.csv"]}),
    "other folder": zip_archive(MEMBERS, inside="elsewhere/"),
    "truncated zip": zip_archive(MEMBERS)[:-40],
    "flipped bytes": zip_archive(MEMBERS, compression=zipfile.ZIP_STORED).replace(b"twotwo", b"twoowt"),
    "truncated tar": tar_archive(MEMBERS)[:-40],
    "gzip of text": gzip.compress(b"not a tar" * 1000),
    "web page": b"<html>please log in</html>",
    "empty file": b"",
    "only a signature": b"PK",
}


@pytest.mark.parametrize("archive", DAMAGED_ARCHIVES.values(), ids=DAMAGED_ARCHIVES)
def test_a_damaged_archive_is_reported_and_the_next_address_is_tried(tmp_path, server, archive, capsys):
    server.pages["/data.zip"] = zip_archive(MEMBERS)
    mirror = write_file(tmp_path / "mirror", "drive/data.zip", archive)
    download_origin(archive_origin([f"{server.address}/data.zip"]), tmp_path / "out", str(mirror), fast_downloader())
    assert f"{mirror}/drive/data.zip: " in capsys.readouterr().err
    with pytest.raises(UserError, match=r"drive/data\.zip: (altered|damaged|expected)"):
        repack_from_mirror(tmp_path, archive)
    assert list_entries(tmp_path / "out") == []


def test_every_flipped_byte_of_an_archive_is_detected_or_harmless(tmp_path):
    """If a byte of the archive is changed, the result is either the pinned bytes or a UserError."""
    for archive in (zip_archive(MEMBERS), tar_archive(MEMBERS)):
        expected = repack_from_mirror(tmp_path, archive)
        for position in range(0, len(archive), 7):
            altered = bytearray(archive)
            altered[position] ^= 0xFF
            try:
                assert repack_from_mirror(tmp_path, bytes(altered)) == expected
            except UserError:
                assert list_entries(tmp_path / "out") == []
