"""Translations to scores that sacreBLEU agrees with, baselines, reports, and answers on the command line."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sacrebleu
import typer
from typer.testing import CliRunner

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.translation import commands
from lectern.tasks.translation.report import baseline, evaluate, plots, scoring
from lectern.tasks.translation.serving import inference_api
from translation_toy import PAIRS, make_processed, make_translator

REFERENCES = ["The cat sits on the mat.", "Two dogs run fast!", "A man reads."]
FOUND = ["The Cat sat on the mat.", "Two dogs run fast!", "Men read books."]


@pytest.fixture(scope="module")
def processed(tmp_path_factory) -> Path:
    return make_processed(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def module(processed):
    return make_translator(read_facts(processed), "attention")


# ---- scores ----


def test_the_score_of_items_is_sacrebleus_of_the_corpus():
    items = scoring.tabulate("bleu", FOUND, FOUND, REFERENCES)
    expected = sacrebleu.corpus_bleu(FOUND, [REFERENCES], lowercase=True).score
    assert evaluate.score(items) == pytest.approx(expected)
    assert evaluate.score(items) != pytest.approx(sacrebleu.corpus_bleu(FOUND, [REFERENCES]).score)


def test_a_corpus_without_one_long_match_is_smoothed_as_sacrebleu_does():
    items = scoring.tabulate("bleu", FOUND[2:], FOUND[2:], REFERENCES[2:])
    expected = sacrebleu.corpus_bleu(FOUND[2:], [REFERENCES[2:]], lowercase=True).score
    assert evaluate.score(items) == pytest.approx(expected) and expected > 0


def test_the_score_of_a_selection_is_sacrebleus_of_that_selection():
    items = scoring.tabulate("bleu", FOUND, FOUND, REFERENCES).iloc[[0, 0, 1]]
    chosen = [[texts[number] for number in (0, 0, 1)] for texts in (FOUND, REFERENCES)]
    assert evaluate.score(items) == pytest.approx(sacrebleu.corpus_bleu(chosen[0], [chosen[1]], lowercase=True).score)


def test_a_data_set_scored_by_exact_match_counts_whole_sentences():
    items = scoring.tabulate("exact_match", FOUND, FOUND, REFERENCES)
    assert evaluate.score(items) == pytest.approx(1 / 3)
    assert evaluate.score(items.iloc[[1]]) == 1.0


def test_the_interval_holds_the_score_and_narrows_with_more_sentences():
    widths = []
    for times in (10, 200):
        items = scoring.tabulate("exact_match", FOUND * times, FOUND * times, REFERENCES * times)
        low, high = scoring.interval(items)
        assert low < evaluate.score(items) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_both_protocols_are_told_with_how_they_were_made():
    told = scoring.describe(FOUND, REFERENCES)
    assert told["bleu_lower_cased_tokenised"] > told["bleu_true_case_detokenised"]
    assert "case:lc" in told["bleu_lower_cased_tokenised_signature"]
    assert "case:mixed" in told["bleu_true_case_detokenised_signature"]


# ---- baselines ----


def test_word_by_word_finds_the_words_that_go_together():
    train = pd.DataFrame(PAIRS, columns=["source", "target"])
    assert baseline.word_by_word(train, ["A dog sleeps there. Hello?"]) == ["a dog sleeps there. hello?"]
    swapped = train.assign(target=train["target"].str.replace("DOG", "HUND").str.replace("SLEEPS", "SCHLÄFT"))
    assert baseline.word_by_word(swapped, ["a Dog sleeps"]) == ["a hund schläft"]


def test_the_floor_is_the_better_of_two(tmp_path):
    words = {"man": "Mann", "dog": "Hund", "child": "Kind", "sleeps": "schläft", "here": "hier"}
    pairs = [(source, " ".join(words.get(word, word) for word in source.split())) for source, _ in PAIRS]
    processed = make_processed(
        tmp_path, train=pairs[:-1], test=[("A dog sleeps outside, man.", "A Hund schläft outside, Mann.")]
    )
    both = evaluate.score_baselines(processed)
    assert both["copy"] < both["word_by_word"] == evaluate.score_baseline(processed) == pytest.approx(100)


# ---- report ----


@pytest.fixture(scope="module")
def reported(processed, module, tmp_path_factory) -> tuple[dict, Path]:
    """The numbers and the folder of a report."""
    out = tmp_path_factory.mktemp("one") / "report"
    out.mkdir()
    return evaluate.evaluate(module, processed, out), out


def test_a_report_tells_the_score_and_at_most_five_more_numbers(processed, reported):
    numbers, out = reported
    items = pd.read_parquet(out / "items.parquet")
    assert numbers["score"] == evaluate.score(items) and len(numbers) <= 6
    assert all(isinstance(value, float) for value in numbers.values())
    assert {"item", "block"} <= set(items) and len(items) == read_facts(processed)["items"]["test"]
    details = json.loads((out / "details.json").read_text())
    assert details["baselines"] == evaluate.score_baselines(processed)
    assert {path.name for path in out.glob("*.png")} == {"attention.png", "score_by_length.png"}


def test_a_report_twice_is_the_same_bytes(processed, module, reported, tmp_path):
    (tmp_path / "report").mkdir()
    evaluate.evaluate(module, processed, tmp_path / "report")
    for path in reported[1].iterdir():
        assert path.read_bytes() == (tmp_path / "report" / path.name).read_bytes(), path.name


def test_a_network_without_attention_has_no_map_of_it(processed, tmp_path):
    evaluate.evaluate(make_translator(read_facts(processed), "seq2seq"), processed, tmp_path)
    assert not (tmp_path / "attention.png").exists()


def test_one_length_only_still_gives_a_picture(tmp_path):
    items = scoring.tabulate("bleu", ["a b c"] * 4, ["x"] * 4, ["x"] * 4)
    plots.draw_score_by_length({"toy": items}, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


# ---- answers ----


def test_an_answer_has_a_row_a_translation_the_best_first(module):
    sources = pd.DataFrame({"source": ["A man sleeps here.", "A dog sits there."]})
    one, three = inference_api.predict(module, sources), inference_api.predict(module, sources, beam=4, n_best=3)
    assert list(one) == list(three) == ["target", "score"]
    assert len(one) == 2 and len(three) == 6
    assert (np.diff(three["score"].to_numpy().reshape(2, 3), axis=1) <= 0).all()


def test_an_answer_needs_its_column(module):
    with pytest.raises(UserError, match="A column 'source' is needed; there is: text"):
        inference_api.predict(module, pd.DataFrame({"text": ["A man."]}))


def test_the_example_fits_the_signature(processed, module):
    from mlflow.models.utils import _enforce_params_schema, _enforce_schema

    signature, example = inference_api.signature(), inference_api.example(processed)
    assert len(_enforce_schema(example, signature.inputs)) == len(example) > 0
    params = _enforce_params_schema({"beam": 2}, signature.params)
    answered = _enforce_schema(inference_api.predict(module, example, **params), signature.outputs)
    assert list(answered.columns) == ["target", "score"]


# ---- command ----


@pytest.fixture
def ask(module, monkeypatch):
    """Runs `lectern translate` with the toy as every name's champion."""
    monkeypatch.setattr("lectern.registry.load_champion", lambda name: module)
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.add_to(app)
    return lambda *words, **more: CliRunner().invoke(app, list(words), **more)


def test_a_sentence_typed_is_translated(ask, module):
    told = ask("translate", "toy", "A man sleeps here.")
    expected = inference_api.predict(module, pd.DataFrame({"source": ["A man sleeps here."]}))["target"][0]
    assert told.exit_code == 0 and told.stdout == expected + "\n"


def test_every_line_piped_in_has_a_line_out_an_empty_one_too(ask):
    told = ask("translate", "toy", "--beam", "1", input="A man.\n\nA dog sits.\n" * 40)
    lines = told.stdout.split("\n")[:-1]
    assert told.exit_code == 0 and len(lines) == 120
    assert all((line == "") == (number % 3 == 1) for number, line in enumerate(lines))
    assert "lines" in told.stderr  # how far it is


def test_the_best_few_come_with_their_scores(ask):
    told = ask("translate", "toy", "A man.", "--n-best", "3")
    scores = [float(line.split("\t")[0]) for line in told.stdout.splitlines()]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_where_it_looked_is_drawn(ask, tmp_path):
    assert ask("translate", "toy", "A man.", "--attention", str(tmp_path / "map.png")).exit_code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "piped", "message"),
    [
        (["toy", "--attention", "x.png"], b"a\nb\n", "draws one sentence; there are 2"),
        (["toy"], b"fine\n\xff\n", "Line 2 of the input is not UTF-8"),
        (["toy"], b"fine\n" + b"man " * 60, "Line 2: Sentence 1 has 60 pieces; this model takes 40"),
        (["toy", "A man.", "--beam", "99"], b"", "beam is 99"),
        (["toy", " "], b"", "The sentence is empty"),
    ],
)
def test_what_cannot_be_translated_is_refused(ask, words, piped, message):
    error = ask("translate", *words, input=io.BytesIO(piped).getvalue()).exception
    assert isinstance(error, UserError) and message in str(error)


def test_a_champion_that_translates_nothing_is_refused(ask, monkeypatch):
    monkeypatch.setattr("lectern.registry.load_champion", lambda name: object())
    error = ask("translate", "mnist", "A man.").exception
    assert isinstance(error, UserError) and "translates nothing" in str(error)


def test_experiments_are_drawn_in_one_picture(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "other"):
        (tmp_path / "reports" / name).mkdir(parents=True)
        scoring.tabulate("bleu", FOUND, FOUND, REFERENCES).to_parquet(tmp_path / "reports" / name / "items.parquet")
    assert ask("by-length", "one", "other", "--out", "both.png").exit_code == 0
    assert (tmp_path / "both.png").is_file()
    assert "Evaluate first: dvc repro evaluate@third" in str(ask("by-length", "third").exception)
