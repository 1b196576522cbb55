"""Test the commands `lectern translate` and `lectern by-length`."""

from types import SimpleNamespace

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.registry.loaded_model import LoadedModel
from lectern.tasks.translation import commands
from lectern.tasks.translation.report import scoring
from lectern.tasks.translation.serving import inference_api
from translation_toy import make_processed, make_translator

SENTENCES = ["Two dogs run fast!", "A man reads."]


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict:
    return read_facts(make_processed(tmp_path_factory.mktemp("toy")))


@pytest.fixture(scope="module")
def module(facts):
    return make_translator(facts, "attention")


def use_champion(monkeypatch, module) -> None:
    """Make a module the champion of every model name."""
    champion = SimpleNamespace(model=LoadedModel(module, "translation"))
    monkeypatch.setattr("lectern.serving.champions.load_champion", lambda name, task: champion)


@pytest.fixture
def lectern(module, monkeypatch):
    """Return a function that runs a command of the task. Every model name has the toy translator as its champion."""
    use_champion(monkeypatch, module)
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register_commands(app)
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)


def test_a_sentence_argument_is_translated(lectern, module):
    result = lectern("translate", "toy", "A man sleeps here.")
    expected = inference_api.predict(module, pd.DataFrame({"source": ["A man sleeps here."]}))["target"][0]
    assert result.exit_code == 0 and result.stdout == expected + "\n"


def test_each_line_of_standard_input_gives_one_output_line(lectern):
    result = lectern("translate", "toy", "--beam", "1", input="A man.\n\nA dog sits.\n" * 40)
    lines = result.stdout.split("\n")[:-1]
    assert result.exit_code == 0 and len(lines) == 120
    # Empty input lines give empty output lines.
    assert all((line == "") == (number % 3 == 1) for number, line in enumerate(lines))
    assert "lines" in result.stderr  # The progress bar is written to standard error.


@pytest.mark.parametrize("n_best", [1, 2])
@pytest.mark.parametrize(("text", "lines"), [("", 0), ("\n", 1), ("A man.", 1), ("A man.\n\n\u2028\nA dog sits.", 4)])
def test_each_input_line_gives_n_best_output_lines(lectern, n_best, text, lines):
    result = lectern("translate", "toy", "--beam", "2", "--n-best", str(n_best), input=text.encode())
    assert result.exit_code == 0 and result.stdout.count("\n") == n_best * lines


def test_n_best_prints_scores_in_descending_order(lectern):
    result = lectern("translate", "toy", "A man.", "--n-best", "3")
    scores = [float(line.split("\t")[0]) for line in result.stdout.splitlines()]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_the_attention_option_writes_a_png(lectern, tmp_path):
    assert lectern("translate", "toy", "A man.", "--attention", str(tmp_path / "map.png")).exit_code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_the_attention_option_is_rejected_for_a_network_without_attention(lectern, facts, monkeypatch):
    translator = make_translator(facts, "seq2seq")
    use_champion(monkeypatch, translator)
    error = lectern("translate", "toy", "A man.", "--attention", "map.png").exception
    assert isinstance(error, UserError) and "has no attention" in str(error)


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (
            ["toy", "--attention", "x.png"],
            b"a\nb\n",
            "map of one sentence, but the input has 2 lines",
        ),
        (["toy"], b"fine\n\xff\n", "The input, line 2: byte 0xff is not UTF-8 text"),
        (["toy"], b"fine\n" + b"man " * 60, "Line 2: Sentence 1 has 60 tokens; this model accepts at most 40"),
        (["toy", "A man.", "--beam", "99"], b"", "beam is 99"),
        (["toy", " "], b"", "The sentence is empty"),
    ],
)
def test_invalid_input_is_rejected(lectern, arguments, stdin, message):
    error = lectern("translate", *arguments, input=stdin).exception
    assert isinstance(error, UserError) and message in str(error)


def test_by_length_draws_several_experiments_in_one_plot(lectern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        (tmp_path / "reports" / name).mkdir(parents=True)
        items = scoring.tabulate_items("bleu", "en", SENTENCES, SENTENCES, SENTENCES)
        items.to_parquet(tmp_path / "reports" / name / "items.parquet")
    assert lectern("by-length", "first", "second", "--out", "both.png").exit_code == 0
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    error = lectern("by-length", "third").exception
    assert isinstance(error, UserError) and "dvc repro evaluate@third" in str(error)
