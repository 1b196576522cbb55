"""Test generated samples, and the configs of all origins."""

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from download_server import (
    archive_origin,
    list_entries,
    sha256,
)
from lectern.download import generated
from lectern.download.fetch import SOURCES, download_origin
from lectern.download.repack import Archive
from lectern.errors import UserError

ORIGIN_CONFIGS = sorted((Path(__file__).parents[1] / "conf" / "origin").glob("*.yaml"))


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
