"""Test that scores agree with sacreBLEU, and test the baselines, the report and the inference API."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sacrebleu

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.translation.report import baseline, evaluate, plots, scoring
from lectern.tasks.translation.serving import inference_api
from translation_toy import PAIRS, make_processed, make_translator

REFERENCES = ["The cat sits on the mat.", "Two dogs run fast!", "A man reads."]
TRANSLATIONS = ["The Cat sat on the mat.", "Two dogs run fast!", "Men read books."]


@pytest.fixture(scope="module")
def processed(tmp_path_factory) -> Path:
    return make_processed(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def module(processed):
    return make_translator(read_facts(processed), "attention")


def tabulate(measure: str, rows: slice = slice(None), repeats: int = 1) -> pd.DataFrame:
    """Return the items of the translations above. The translations are also used as sources."""
    translations, references = TRANSLATIONS[rows] * repeats, REFERENCES[rows] * repeats
    return scoring.tabulate_items(measure, "en", translations, translations, references)


# ---- scores ----


def test_the_score_equals_lower_cased_corpus_bleu_of_sacrebleu():
    items = tabulate("bleu")
    expected = sacrebleu.corpus_bleu(TRANSLATIONS, [REFERENCES], lowercase=True).score
    assert evaluate.score(items) == pytest.approx(expected)
    assert evaluate.score(items) != pytest.approx(sacrebleu.corpus_bleu(TRANSLATIONS, [REFERENCES]).score)


def test_bleu_without_a_matching_four_gram_is_smoothed_as_in_sacrebleu():
    items = tabulate("bleu", slice(2, None))
    expected = sacrebleu.corpus_bleu(TRANSLATIONS[2:], [REFERENCES[2:]], lowercase=True).score
    assert evaluate.score(items) == pytest.approx(expected) and expected > 0


def test_the_score_of_selected_items_equals_corpus_bleu_of_the_selection():
    selection = [0, 0, 1]
    translations, references = ([texts[row] for row in selection] for texts in (TRANSLATIONS, REFERENCES))
    expected = sacrebleu.corpus_bleu(translations, [references], lowercase=True).score
    assert evaluate.score(tabulate("bleu").iloc[selection]) == pytest.approx(expected)


def test_exact_match_is_the_share_of_identical_sentences():
    items = tabulate("exact_match")
    assert evaluate.score(items) == pytest.approx(1 / 3)
    assert evaluate.score(items.iloc[[1]]) == 1.0


def test_the_confidence_interval_contains_the_score_and_narrows_with_more_sentences():
    widths = []
    for repeats in (10, 200):
        items = tabulate("exact_match", repeats=repeats)
        low, high = scoring.confidence_interval(items)
        assert low < evaluate.score(items) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_both_variants_of_bleu_are_reported_with_their_signatures():
    metrics = scoring.corpus_metrics(TRANSLATIONS, REFERENCES, "en")
    assert metrics["bleu_lower_cased_tokenised"] > metrics["bleu_true_case_detokenised"]
    assert "case:lc" in metrics["bleu_lower_cased_tokenised_signature"]
    assert "case:mixed" in metrics["bleu_true_case_detokenised_signature"]


# ---- baselines ----


def test_word_by_word_translation_uses_the_words_that_occur_together():
    train = pd.DataFrame(PAIRS, columns=["source", "target"])
    assert baseline.translate_word_by_word(train, ["A dog sleeps there. Hello?"]) == ["a dog sleeps there. hello?"]
    german = train.assign(target=train["target"].str.replace("DOG", "HUND").str.replace("SLEEPS", "SCHLÄFT"))
    assert baseline.translate_word_by_word(german, ["a Dog sleeps"]) == ["a hund schläft"]


def test_the_baseline_is_the_better_of_copying_and_word_by_word(tmp_path):
    words = {"man": "Mann", "dog": "Hund", "child": "Kind", "sleeps": "schläft", "here": "hier"}
    pairs = [(source, " ".join(words.get(word, word) for word in source.split())) for source, _ in PAIRS]
    test = [("A dog sleeps outside, man.", "A Hund schläft outside, Mann.")]
    processed = make_processed(tmp_path, train=pairs[:-1], test=test)
    scores = baseline.score_baselines(processed)
    assert scores["copy"] < scores["word_by_word"] == pytest.approx(100)
    assert baseline.score_baseline(processed) == scores["word_by_word"]


# ---- report ----


@pytest.fixture(scope="module")
def report(processed, module, tmp_path_factory) -> tuple[dict, Path]:
    """Return the metrics of an evaluation and the folder of its report."""
    out = tmp_path_factory.mktemp("first") / "report"
    out.mkdir()
    return evaluate.evaluate(module, processed, out), out


@pytest.mark.slow
def test_evaluation_returns_the_score_and_at_most_five_other_metrics(processed, report):
    metrics, out = report
    items = pd.read_parquet(out / "items.parquet")
    assert metrics["score"] == evaluate.score(items) and len(metrics) <= 6
    assert all(isinstance(value, float) for value in metrics.values())
    assert {"item", "group"} <= set(items) and len(items) == read_facts(processed)["items"]["test"]
    details = json.loads((out / "details.json").read_text())
    assert details["baselines"] == baseline.score_baselines(processed)
    assert {path.name for path in out.glob("*.png")} == {"attention.png", "score_by_length.png"}


def test_the_items_for_the_gate_equal_the_items_of_the_report(processed, module, report):
    expected = pd.read_parquet(report[1] / "items.parquet")
    pd.testing.assert_frame_equal(evaluate.measure(module, processed), expected, check_dtype=False)


def test_the_same_model_gives_an_identical_report(processed, module, report, tmp_path):
    second = tmp_path / "report"
    second.mkdir()
    evaluate.evaluate(module, processed, second)
    for path in report[1].iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_the_report_of_a_network_without_attention_has_no_attention_map(processed, tmp_path):
    evaluate.evaluate(make_translator(read_facts(processed), "seq2seq"), processed, tmp_path)
    assert not (tmp_path / "attention.png").exists()


def test_score_by_length_can_be_drawn_if_all_sentences_have_the_same_length(tmp_path):
    items = scoring.tabulate_items("bleu", "en", ["a b c"] * 4, ["x"] * 4, ["x"] * 4)
    plots.draw_score_by_length({"toy": items}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


# ---- inference API ----


def test_predictions_have_one_row_per_translation_with_the_best_first(module):
    sources = pd.DataFrame({"source": ["A man sleeps here.", "A dog sits there."]})
    best = inference_api.predict(module, sources)
    best_three = inference_api.predict(module, sources, beam=4, n_best=3)
    assert list(best) == list(best_three) == ["target", "score"]
    assert len(best) == 2 and len(best_three) == 6
    assert (np.diff(best_three["score"].to_numpy().reshape(2, 3), axis=1) <= 0).all()


def test_an_input_without_the_source_column_is_rejected(module):
    with pytest.raises(UserError, match="no column 'source'. Its columns are: text"):
        inference_api.predict(module, pd.DataFrame({"text": ["A man."]}))


def test_the_example_and_its_predictions_match_the_signature(processed, module):
    from mlflow.models.utils import _enforce_params_schema, _enforce_schema

    signature, example = inference_api.signature(), inference_api.example(processed)
    assert len(_enforce_schema(example, signature.inputs)) == len(example) > 0
    params = _enforce_params_schema({"beam": 2}, signature.params)
    predictions = _enforce_schema(inference_api.predict(module, example, **params), signature.outputs)
    assert list(predictions.columns) == ["target", "score"]
