"""Test that a user who may only read a checkout gets a message and changes nothing."""

import json
import shutil
from pathlib import Path

import pytest

from children import lectern
from registered import BETTER, NAME, champion
from unnamed_user import lectern_unnamed

ROOT = Path(__file__).parents[1]


@pytest.fixture
def promoted_client(registered_client):
    """Return a client of a store in which a version is the champion."""
    assert lectern("promote", NAME, "--version", BETTER).code == 0
    return registered_client


@pytest.mark.parametrize(
    "words",
    [
        ("promote", NAME, "--version", "3"),
        pytest.param(("rollback", NAME, "--version", "3"), marks=pytest.mark.slow),
        pytest.param(("reconcile",), marks=pytest.mark.slow),
    ],
)
def test_a_command_that_writes_is_refused_with_a_message(words, promoted_client):
    log = Path(f"registry/{NAME}.jsonl").read_bytes()
    code, output = lectern_unnamed(*words)
    assert code == 1 and "Traceback" not in output, output
    assert "Permission denied. The command needs the permission to use this file" in output
    assert champion(promoted_client) == "better" and Path(f"registry/{NAME}.jsonl").read_bytes() == log


@pytest.mark.slow
@pytest.mark.nightly
def test_lineage_names_the_links_that_could_not_be_checked(promoted_client):
    shutil.copytree(ROOT / ".dvc", ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n")
    _, output = lectern_unnamed("lineage", NAME, "--json")
    assert "Traceback" not in output, output
    links = {link["link"]: link for link in json.loads(output.splitlines()[0])}
    assert links["run"]["intact"] and links["raw files"]["intact"] is None
    assert "DVC cannot write to" in links["raw files"]["reason"]
