"""Test that a clone has the same bytes with any line-end settings of git, so that no stage becomes stale."""

import shutil
import subprocess
from pathlib import Path

import pytest

from checkout import Checkout

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Checkout:
    """Return a checkout with the file `.gitattributes` of the project."""
    checkout = Checkout(tmp_path_factory.mktemp("original") / "lectern")
    shutil.copy(ROOT / ".gitattributes", checkout.folder)
    for name in ("registry/mnist.jsonl", "metrics/demo-digits.json", "dvc.lock"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("{}\n")
    (checkout / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\n")
    checkout.git("add", "--force", ".")
    checkout.git("commit", "--quiet", "--message=Add attributes and results")
    return checkout


@pytest.mark.parametrize("settings", [["core.autocrlf=true"], ["core.autocrlf=false", "core.eol=crlf"]])
def test_a_clone_has_the_same_bytes(original, settings, tmp_path):
    options = [word for setting in settings for word in ("-c", setting)]
    original.git("clone", "--quiet", *options, str(original.folder), str(tmp_path / "clone"))
    names = original.git("ls-files", "-z").rstrip("\0").split("\0")
    assert len(names) > 300
    changed = [name for name in names if (tmp_path / "clone" / name).read_bytes() != (original / name).read_bytes()]
    assert changed == []


def test_line_ends_of_an_editor_are_not_committed(original):
    (original / "params.yaml").write_bytes((original / "params.yaml").read_bytes().replace(b"\n", b"\r\n"))
    original.git("add", "params.yaml")
    assert "params.yaml" not in original.git("diff", "--cached", "--name-only")
    original.git("checkout", "--force", ".")


def test_a_merge_keeps_the_decisions_of_both_branches(original):
    for branch in ("ours", "theirs"):
        original.git("checkout", "--quiet", "-B", branch, "main")
        (original / "registry/mnist.jsonl").write_text("{}\n" + f'{{"when": "{branch}"}}\n')
        original.git("commit", "--quiet", "--all", f"--message=Promote on {branch}")
    original.git("merge", "--quiet", "--no-edit", "ours")
    lines = (original / "registry/mnist.jsonl").read_text().splitlines()
    assert sorted(lines) == ['{"when": "ours"}', '{"when": "theirs"}', "{}"]


def test_every_committed_text_file_of_the_project_has_unix_line_ends():
    listed = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line for line in listed.splitlines() if line.startswith(("i/crlf", "i/mixed"))] == []
