"""Test the `lectern` command line: output for people and for scripts, help texts, errors and exit codes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from children import lectern
from lectern.cli import app, full_app
from lectern.cli.output import as_table
from lectern.stages.experiments import read_experiments
from marked_cases import mostly
from registered import BEST, BETTER, NAME, TRAINING_IMAGES, promote

HEAVY = {"torch", "mlflow", "pytorch_lightning", "pandas", "dvc", "numpy", "matplotlib"}


def read_json(*words: str):
    ended = lectern(*words, "--json")
    assert ended.code == 0, ended.said
    return json.loads(ended.said)


def run_installed(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run the `lectern` command that pip installs."""
    command = Path(sys.executable).with_name("lectern")
    return subprocess.run([command, *words], cwd=cwd, capture_output=True, text=True)


def every_command(group=None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every `lectern` command, including the commands of the tasks."""
    for name, command in (group or get_command(full_app())).commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*words, name))
        else:
            yield (*words, name)


def options_of(words: tuple[str, ...]) -> set[str]:
    command = get_command(full_app())
    for word in words:
        command = command.commands[word]
    return {option for parameter in command.params for option in parameter.opts}


# Help


def test_help_lists_every_command_with_a_description():
    output = lectern("--help").said
    lines = {
        line.strip("│ ").partition(" ")[0]: line.strip("│ ").partition(" ")[2].strip() for line in output.splitlines()
    }
    commands = {words[0] for words in every_command()}
    assert len(commands) >= 15 and all(lines.get(command) for command in commands)


def test_lectern_without_arguments_prints_the_help():
    assert lectern().said.split() == lectern("--help").said.split()


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_the_help_of_every_command_has_an_example_and_writes_nothing(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(full_app(), [*words, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output and "Example: " in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_help_documents_every_exit_code():
    from lectern import errors

    codes = {error.code for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "code")}
    text = " ".join(lectern("--help").said.split())
    documented = text.partition("Exit codes:")[2]
    assert codes == {1, 3, 4}
    assert all(f"{code} " in documented for code in {0, 2} | codes)


def test_the_help_imports_nothing_heavy():
    code = "import sys, lectern.cli; lectern.cli.full_app(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "typer" in modules and not modules & HEAVY


# Output for people


@pytest.mark.slow
def test_promote_prints_the_rules_and_the_champion(registered_client):
    ended = lectern("promote", NAME, "--version", BETTER)
    assert ended.code == 0, ended.said
    *rules, last = ended.said.splitlines()
    assert [line.split(":")[0] for line in rules] == ["  pass  above the baseline", "  pass  reproduces its score"]
    assert last == f"{NAME} version {BETTER} (better) is the champion."


def test_rollback_prints_the_champion(registered_client):
    for version in (BETTER, BEST):
        promote(registered_client, version)
    ended = lectern("rollback", NAME)
    assert ended.code == 0 and ended.said == f"{NAME} version {BETTER} (better) is the champion again.\n"


def test_registry_list_shows_champion_and_challenger(registered_client):
    (before,) = read_json("registry", "list")
    assert before["model"] == NAME and before["versions"] == 3 and before["champion"] is None
    promote(registered_client, BEST)
    (row,) = read_json("registry", "list")
    assert row["champion"] == f"{BEST} (best)" and str(row["challenger"]) == BETTER and row["score"] > row["baseline"]
    ended = lectern("registry", "list")
    assert ended.code == 0 and NAME in ended.said and f"{BEST} (best)" in ended.said


def test_registry_list_prints_the_names_that_match_a_pattern(registered_client):
    assert lectern("registry", "list", "--names", "sample_*").said == f"{NAME}\n"
    assert lectern("registry", "list", "--names", "mnist").said == ""


def test_registry_show_lists_every_version_the_newest_first(registered_client):
    rows = read_json("registry", "show", NAME)
    assert [row["experiment"] for row in rows] == list(TRAINING_IMAGES)[::-1]
    assert [row["version"] for row in rows] == [3, 2, 1]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(len(row["weights"]) == 64 for row in rows)


def test_tables_print_scores_with_four_decimals_and_their_unit(registered_client):
    promote(registered_client, BEST)
    score = json.loads(Path("metrics/best.json").read_text())["score"]
    for words in (["experiments"], ["registry", "list"], ["registry", "show", NAME]):
        output = lectern(*words).said
        assert f"{score:.4f}" in output and "accuracy, share of images" in output


def test_experiments_prints_names_without_opening_the_store(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ended = lectern("experiments", "--names")
    evaluated = yaml.safe_load(Path("experiments.yaml").read_text())["evaluated"]
    assert ended.code == 0 and sorted(ended.said.split()) == sorted(evaluated)
    expected = [name for name in read_experiments() if name.startswith("mnist-")]
    assert expected and lectern("experiments", "mnist-*", "--names").said.split() == expected


def test_experiments_names_imports_no_mlflow():
    code = "import sys; sys.argv = ['lectern', 'experiments', '--names']; from lectern.cli import main\n"
    code += "try: main()\nfinally: print(*sorted(sys.modules), file=sys.stderr)"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "mnist-cnn" in done.stdout.split() and not set(done.stderr.split()) & HEAVY


def test_a_narrow_table_breaks_no_name_and_no_digest():
    rows = [{"experiment": "shakespeare-transformer", "weights": "8046ddcb" * 4, "reason": "the only one " * 9}]
    console = Console(width=80, record=True)
    console.print(as_table(rows))
    table = console.export_text()
    assert "shakespeare-transformer " + "8046ddcb" * 4 in table and table.split().count("only") == 9
    assert max(map(len, table.splitlines())) <= 80


def test_a_model_without_versions_is_shown(registered_client):
    for version in ("1", "2", "3"):
        registered_client.delete_model_version(NAME, version)
    ended = lectern("registry", "show", NAME)
    assert ended.code == 0 and ended.said.startswith(f"{NAME} has no version.\n")


def test_registry_history_shows_every_decision(registered_client):
    assert f"The audit log has no decision on {NAME} yet." in lectern("registry", "history", NAME).said
    promote(registered_client, BEST)
    assert [decision["action"] for decision in read_json("registry", "history", NAME)] == ["promote"]
    assert "promote" in lectern("registry", "history", NAME).said


# Output for scripts

JSON_COMMANDS = {
    ("promote",): [NAME, "--version", BETTER],
    ("rollback",): [NAME],
    ("retire",): [NAME],
    ("reconcile",): [],
    ("lineage",): [f"{NAME}@champion"],
    ("verify",): [f"{NAME}@champion"],
    ("experiments",): [],
    ("registry", "list"): [],
    ("registry", "show"): [NAME],
    ("registry", "history"): [NAME],
    ("predict",): [NAME, "--input", "images", "--output", "predictions.csv"],
    ("export",): [NAME],
}
SHORT_COMMANDS = [("promote",), ("lineage",), ("experiments",), ("registry", "list"), ("registry", "show")]


def test_every_command_with_json_is_tested():
    # `runs` needs a git repository; tests/test_dvc_tables.py tests it
    assert {words for words in every_command() if "--json" in options_of(words)} == {*JSON_COMMANDS, ("runs",)}


@pytest.mark.parametrize("words", mostly("slow", JSON_COMMANDS, SHORT_COMMANDS, name=" ".join), ids=" ".join)
def test_every_command_with_json_prints_one_line_of_json(registered_client, words):
    for version in (BETTER, BEST):
        promote(registered_client, version)
    if words == ("predict",):
        write_images(Path("images"))
    ended = lectern(*words, *JSON_COMMANDS[words], "--json")
    # exit code 3: the lineage has no git commit in a test, and the gate refuses the worse version
    assert ended.code in (0, 3), ended.said
    # A progress bar can come before the JSON in the output.
    lines = re.findall(r'(?:^\[|\{").*$', ended.said, re.MULTILINE)
    assert len(lines) == 1 and isinstance(json.loads(lines[0]), dict | list), ended.said


def write_images(folder: Path) -> None:
    from PIL import Image

    from registered import load_test_images

    folder.mkdir()
    Image.fromarray(load_test_images()[0]).save(folder / "digit.png")


@pytest.mark.slow
def test_commands_that_change_the_champion_print_json(registered_client):
    promoted = read_json("promote", NAME, "--version", BETTER)
    assert promoted["promoted"] is True and promoted["version"] == 2 and promoted["rules"]
    # The version BETTER is already the champion.
    assert read_json("promote", NAME, "--version", BETTER)["promoted"] is False
    assert read_json("promote", NAME)["experiment"] == "best" and read_json("rollback", NAME)["experiment"] == "better"
    assert read_json("verify", f"{NAME}@champion")["same"] is True
    assert read_json("reconcile") == []


# Errors and exit codes


def test_a_refused_promotion_has_exit_code_3(registered_client):
    promote(registered_client, BEST)
    ended = lectern("promote", NAME, "--version", BETTER)
    assert ended.code == 3 and ended.said.startswith("lectern: ") and "Traceback" not in ended.said
    assert "does not pass the gate" in ended.said and "FAIL" in ended.said
    answer = json.loads(lectern("promote", NAME, "--version", BETTER, "--json").said.splitlines()[0])
    assert answer["promoted"] is False and not all(rule["passed"] for rule in answer["rules"])


def test_a_broken_lineage_and_a_different_score_have_exit_code_3(registered_client):
    Path("models/better/weights.safetensors").write_bytes(b"other")
    assert lectern("lineage", f"{NAME}@2").code == 3
    registered_client.set_model_version_tag(NAME, BETTER, "lectern.score", "0.1")
    ended = lectern("verify", f"{NAME}@2")
    assert ended.code == 3 and "the recorded score is 0.1000, and the new score is 0." in ended.said


@pytest.mark.slow
@pytest.mark.nightly
def test_outputs_without_a_version_are_reported_with_the_command_to_restore_them(client):
    for words in (["registry", "list"], ["experiments"], ["promote", NAME], ["lineage", f"{NAME}@champion"]):
        ended = lectern(*words)
        assert "this store has no version of " in ended.said and "run `lectern reconcile`" in ended.said
        assert all(name in ended.said for name in TRAINING_IMAGES) and "Traceback" not in ended.said
    output = lectern("reconcile").said
    assert all(f"{name}: run with its history" in output for name in TRAINING_IMAGES)
    assert lectern("reconcile").said.strip() == "Nothing was missing."
    assert "no version of" not in lectern("registry", "list").said


@pytest.mark.parametrize(
    "words", [["promote"], ["rollback"], ["registry", "show"], ["registry", "history"]], ids=" ".join
)
def test_an_unknown_model_is_reported_with_the_nearest_name(registered_client, words):
    ended = lectern(*words, "sample_digit")
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "did you mean 'sample_digits'?" in ended.said


def test_outside_a_checkout_the_error_says_where_to_run_lectern(tmp_path):
    done = run_installed("registry", "list", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{tmp_path} has no dvc.yaml. Run this command in the root folder of a Lectern checkout." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_store_has_exit_code_1(evaluated_project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # No server listens on the port `discard`.
    ended = lectern("registry", "list")
    assert ended.code == 1 and "http://127.0.0.1:9 does not answer" in ended.said and "Traceback" not in ended.said


def test_wrong_usage_has_exit_code_2(project):
    ended = lectern("promote")
    assert ended.code == 2 and "Missing argument" in ended.said


# Completion in the shell


def complete(line: str) -> list[str]:
    """Return the completions that bash offers after TAB at the end of the line."""
    shell = {"_LECTERN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return CliRunner().invoke(app, [], prog_name="lectern", env=shell).output.split()


def test_the_shell_completes_commands_models_and_aliases(project):
    assert {"promote", "rollback"} <= set(complete("lectern ")) and complete("lectern prom") == ["promote"]
    assert complete("lectern promote sample_d") == ["sample_digits"]
    assert complete("lectern lineage mnist@ch") == ["mnist@champion", "mnist@challenger"]
