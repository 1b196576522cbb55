"""The command line: what it prints for a person and for a script, and how it says no."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from children import lectern
from lectern.cli import app, whole
from lectern.cli.output import as_table
from lectern.registry import promotion
from registered import BEST, BETTER, NAME, TAUGHT


def read(*words: str):
    ended = lectern(*words, "--json")
    assert ended.code == 0, ended.said
    return json.loads(ended.said)


def installed(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    """The command that the package installs."""
    command = Path(sys.executable).with_name("lectern")
    return subprocess.run([command, *words], cwd=cwd, capture_output=True, text=True)


def test_help_tells_every_command_with_a_line():
    ended = lectern("--help")
    assert ended.code == 0
    for command in ("promote", "rollback", "reconcile", "registry", "experiments"):
        assert command in ended.said
    assert lectern().said.split() == ended.said.split()  # and so does typing nothing


def every_command(group=None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command there is, the rooms' too."""
    for name, command in (group or get_command(whole())).commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*words, name))
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_shows_an_example_in_its_help_and_touches_no_store_for_it(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(whole(), [*words, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output and "Example: " in result.output
    assert list(tmp_path.iterdir()) == []


def test_promote_prints_the_rules_and_the_champion(stocked):
    ended = lectern("promote", NAME, "--version", BETTER)
    assert ended.code == 0, ended.said
    assert "yes  above the baseline" in ended.said
    assert f"{NAME}: version {BETTER} (better) is the champion." in ended.said


def test_a_refused_promotion_is_a_message_and_exit_code_3(stocked):
    promotion.promote(stocked, NAME, BEST)
    ended = lectern("promote", NAME, "--version", BETTER)
    assert ended.code == 3 and ended.said.startswith("lectern: ") and "Traceback" not in ended.said
    assert "does not pass the gate" in ended.said and "NO " in ended.said
    told = json.loads(lectern("promote", NAME, "--version", BETTER, "--json").said.splitlines()[0])
    assert told["promoted"] is False and not all(rule["passed"] for rule in told["rules"])


def test_rollback_says_who_is_champion_again(stocked):
    for version in (BETTER, BEST):
        promotion.promote(stocked, NAME, version)
    ended = lectern("rollback", NAME)
    assert ended.code == 0 and f"version {BETTER} (better) is the champion again" in ended.said


def test_the_list_is_a_table_or_json(stocked):
    (before,) = read("registry", "list")
    assert before["model"] == NAME and before["versions"] == 3 and before["champion"] is None
    promotion.promote(stocked, NAME, BEST)
    (row,) = read("registry", "list")
    assert row["champion"] == f"{BEST} (best)" and str(row["challenger"]) == BETTER and row["score"] > row["baseline"]
    ended = lectern("registry", "list")
    assert ended.code == 0 and NAME in ended.said and f"{BEST} (best)" in ended.said


def test_show_lists_every_version_the_newest_first(stocked):
    rows = read("registry", "show", NAME)
    assert [row["experiment"] for row in rows] == list(TAUGHT)[::-1]
    assert [row["version"] for row in rows] == [3, 2, 1]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(len(row["weights"]) == 64 for row in rows)


def test_a_table_breaks_no_name_and_no_digest():
    rows = [{"experiment": "shakespeare-transformer", "weights": "8046ddcb" * 4, "why": "the only one " * 9}]
    console = Console(width=80, record=True)
    console.print(as_table(rows))
    table = console.export_text()
    assert "shakespeare-transformer " + "8046ddcb" * 4 in table and table.split().count("only") == 9
    assert max(map(len, table.splitlines())) <= 80


def test_a_model_whose_versions_are_all_deleted_is_shown_without_them(stocked):
    for version in ("1", "2", "3"):
        stocked.delete_model_version(NAME, version)
    assert lectern("registry", "show", NAME).code == 0


def test_history_tells_every_decision(stocked):
    assert "Nothing has been decided" in lectern("registry", "history", NAME).said
    promotion.promote(stocked, NAME, BEST)
    assert [line["action"] for line in read("registry", "history", NAME)] == ["promote"]
    assert "promote" in lectern("registry", "history", NAME).said


def test_a_store_that_lacks_versions_is_told_with_the_command_that_brings_them(client):
    for words in (["registry", "list"], ["experiments"], ["promote", NAME], ["lineage", f"{NAME}@champion"]):
        ended = lectern(*words)
        assert "this store has no version of " in ended.said and "bring them back: lectern reconcile" in ended.said
        assert all(name in ended.said for name in TAUGHT) and "Traceback" not in ended.said
    said = lectern("reconcile").said
    assert all(f"{name}: run with its history" in said for name in TAUGHT)
    assert lectern("reconcile").said.strip() == "Nothing was missing."
    assert "no version of" not in lectern("registry", "list").said


def test_an_unknown_model_is_answered_with_the_nearest(stocked):
    for words in (["promote", "sample_digit"], ["rollback", "sample_digit"], ["registry", "show", "sample_digit"]):
        ended = lectern(*words)
        assert ended.code == 1 and "Traceback" not in ended.said
        assert "did you mean 'sample_digits'?" in ended.said


def test_outside_a_checkout_it_says_where_it_must_be_called(tmp_path):
    done = installed("registry", "list", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{tmp_path} is not the root of a Lectern checkout" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_down_is_a_message_and_exit_code_1(shop, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens on `discard`
    ended = lectern("registry", "list")
    assert ended.code == 1 and "http://127.0.0.1:9 does not answer" in ended.said and "Traceback" not in ended.said


def test_the_installed_command_starts_in_a_moment_and_imports_nothing_heavy():
    modules = "import sys, lectern.cli; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "typer" in loaded and not loaded & {"torch", "mlflow", "pytorch_lightning", "pandas", "dvc"}


def offered(line: str) -> list[str]:
    """What bash would offer after TAB at the end of the line."""
    from typer.testing import CliRunner

    shell = {"_LECTERN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return CliRunner().invoke(app, [], prog_name="lectern", env=shell).output.split()


def test_a_shell_completes_commands_models_and_aliases(house):
    assert {"promote", "rollback"} <= set(offered("lectern ")) and offered("lectern prom") == ["promote"]
    assert offered("lectern promote sample_d") == ["sample_digits"]
    assert offered("lectern lineage mnist@ch") == ["mnist@champion", "mnist@challenger"]


def test_every_command_that_answers_a_script_takes_json(stocked):
    told = read("promote", NAME, "--version", BETTER)
    assert told["promoted"] is True and told["version"] == 2 and told["rules"]
    assert read("promote", NAME, "--version", BETTER)["promoted"] is False  # it was already
    assert read("promote", NAME)["experiment"] == "best" and read("rollback", NAME)["experiment"] == "better"
    assert read("verify", f"{NAME}@champion")["same"] is True
    assert read("reconcile") == []


def test_a_broken_link_and_a_wrong_score_are_exit_code_3(stocked):
    Path("models/better/weights.safetensors").write_bytes(b"other")
    assert lectern("lineage", f"{NAME}@2").code == 3
    stocked.set_model_version_tag(NAME, BETTER, "lectern.score", "0.1")
    assert lectern("verify", f"{NAME}@2").code == 3


def test_the_exit_codes_are_told():
    assert "Exit codes: 0 done" in " ".join(lectern("--help").said.split())
