"""Test that `lectern add dataset` explains each mistake and then writes nothing."""

import re
import subprocess
from pathlib import Path

import pytest

from download_server import TEXT, error_page, zip_archive
from lectern.new_dataset import sources
from new_dataset_files import add, checkout, files, read_tree

__all__ = ["checkout", "files"]  # imported because they are fixtures
SECRET = "pa55word"


@pytest.fixture
def data(tmp_path) -> Path:
    """Return a folder with different raw files."""
    folder = tmp_path / "data"
    for name in ("texts/a.txt", "texts/b.txt", "empty/.DS_Store", "drives/one/driving_log.csv", "idx/train.gz"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(TEXT)
    (folder / "texts.zip").write_bytes(zip_archive({"a.txt": TEXT}))
    (folder / "cut.zip").write_bytes(zip_archive({"a.txt": TEXT})[:-30])
    (folder / "unsafe.zip").write_bytes(zip_archive({"../a.txt": TEXT}))
    return folder


@pytest.mark.parametrize(
    ("name", "task", "words", "message"),
    [
        ("2024", "language_model", ["--from", "texts"], "The first character must be a letter"),
        ("a.b", "language_model", ["--from", "texts"], "letters from a to z, digits, _ and -"),
        ("../x", "language_model", ["--from", "texts"], "'../x' cannot be the name of a dataset"),
        ("on", "language_model", ["--from", "texts"], "YAML reads it as another value"),
        ("mnist", "digits", ["--from", "texts"], "conf/origin/mnist.yaml already exists"),
        ("new", "digit", ["--from", "texts"], "unknown task 'digit'; did you mean 'digits'?"),
        ("new", "language_model", ["--from", "texts", "--licence", " "], "--licence is empty"),
        ("new", "language_model", ["--from", "texts", "--licence", "${a}"], "expected one line of text without ${"),
        ("new", "language_model", [], "Give either --from with a folder or a file, or --url"),
        ("new", "language_model", ["--from", "nowhere"], "does not exist; expected a folder or a file"),
        ("new", "language_model", ["--from", "empty"], "contains no files; hidden files are ignored"),
        ("new", "language_model", ["--from", "texts", "--members", "*.md"], "none of the 2 files"),
        ("new", "language_model", ["--from", "texts", "--inside", "x"], "no archive was given"),
        ("new", "language_model", ["--from", "idx"], "No file has a name that ends in .txt or .jsonl"),
        ("new", "language_model", ["--from", "texts.zip"], "does not read archives"),
        ("new", "steering", ["--from", "texts.zip", "--inside", "x"], "The archive has 1 members, such as: data/a.txt"),
        ("new", "steering", ["--from", "cut.zip"], "damaged or truncated"),
        ("new", "steering", ["--from", "unsafe.zip", "--inside", "data"], "points outside the archive folder"),
        ("new", "steering", ["--from", "drives"], "Give the folder one with --from"),
        ("new", "translation", ["--from", "texts"], "No file has tab-separated columns"),
        ("new", "language_model", ["--from", "texts", "--set", "valid=1"], "did you mean 'validation'?"),
        ("new", "language_model", ["--from", "texts", "--set", "test=many"], "--set: test is 'many'; expected"),
        ("new", "language_model", ["--from", "texts", "--set", "test"], "expected key=value"),
        ("new", "language_model", ["--from", "texts", "--set", "test={"], "not a value in YAML"),
    ],
)
def test_a_mistake_is_explained_and_nothing_is_written(name, task, words, message, checkout, data):
    before = read_tree(checkout)
    words = [
        str(data / word) if previous == "--from" else word for previous, word in zip(["", *words], words, strict=False)
    ]
    ended = add(name, task, *words)
    assert ended.code == 1 and message in ended.said and "Traceback" not in ended.said, ended.said
    assert read_tree(checkout) == before


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["/missing.txt"], "HTTP 404"),
        (["/a.txt", "/missing.txt"], "HTTP 404"),
        (["/login.txt"], "is the address of a web page"),
        (["/a.txt", "/a.txt"], "is given twice"),
        (["/a.txt?raw=1"], "not the address of a folder followed by the name of a file"),
        (["/archive/"], "not the address of a folder followed by the name of a file"),
    ],
    ids=str,
)
def test_a_failed_download_writes_nothing(paths, message, checkout, files):
    pages = dict.fromkeys(("/a.txt", "/a.txt?raw=1", "/archive/"), TEXT)
    files.pages = {**pages, "/login.txt": b"\n<!DOCTYPE html><html>", "/missing.txt": error_page(404)}
    before = read_tree(checkout)
    ended = add("new", "language_model", *(word for path in paths for word in ("--url", files.address + path)))
    assert ended.code == 1 and message in ended.said and "Traceback" not in ended.said, ended.said
    assert read_tree(checkout) == before


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@localhost:1/a.txt",
        f"http://localhost:1/a.zip?token={SECRET}",
        f"https://localhost:1/a.zip?X-Amz-Signature={SECRET}",
        f"http://localhost:1/a.zip?v=1&sig={SECRET}",
        f"ftp://me:{SECRET}@localhost/a.txt",
        f"http://me:{SECRET}@local host/a.txt",
        f"http://me:{SECRET}@localhost:port/a.txt",
    ],
)
def test_an_address_with_a_password_or_a_token_is_refused_and_not_printed(url, checkout):
    before = read_tree(checkout)
    ended = add("new", "steering", "--url", url)
    assert ended.code == 1 and "Traceback" not in ended.said
    assert SECRET not in ended.said
    assert read_tree(checkout) == before


def test_files_on_two_servers_are_refused(checkout):
    ended = add("new", "language_model", "--url", "http://localhost:1/a.txt", "--url", "http://localhost:2/a.txt")
    assert ended.code == 1 and "on different servers" in ended.said


def test_a_folder_with_too_many_files_must_be_packed(checkout, data, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 1)
    ended = add("new", "steering", "--from", str(data / "texts"))
    assert ended.code == 1 and "contains 2 files; at most 1 files" in ended.said
    command, archive = re.search(r"`(tar .*)`, and give the archive with --from (\S+)\.", ended.said).groups()
    subprocess.run(["bash", "-ec", command], check=True)
    assert add("new", "steering", "--from", archive).code == 0


def test_the_command_needs_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = add("new", "digits", "--from", str(tmp_path))
    assert ended.code == 1 and "Run this command in the root folder of a Lectern checkout" in ended.said
    assert list(tmp_path.iterdir()) == []
