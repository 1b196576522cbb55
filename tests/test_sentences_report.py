"""Test the report of the task sentences."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from lectern.tasks.sentences.report import evaluate, robustness, slices, word_vectors
from lectern.tasks.sentences.report.baseline import score_baseline
from lectern.tasks.sentences.report.reference import score_reference
from sentence_texts import SENTENCES, make_classifier, make_processed, train


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    return make_processed(
        tmp_path_factory.mktemp("sentences"), [*SENTENCES, *((0, f"it is not a film {n}") for n in range(40))]
    )


@pytest.fixture(scope="module")
def report(processed, tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("report")
    module = train(make_classifier(processed), processed, epochs=2)
    return module, out, evaluate.evaluate(module, processed, out)


def test_metrics_are_those_of_the_predictions(report, processed):
    module, out, metrics = report
    test = pd.read_parquet(processed / "test.parquet")
    predictions = evaluate.predict_texts(module, test["text"].tolist()).argmax(1)
    assert metrics["score"] == pytest.approx((predictions == test["label"]).mean())
    assert metrics["macro_f1"] == pytest.approx(f1_score(test["label"], predictions, average="macro"))
    assert metrics["ngram_accuracy"] == pytest.approx(score_reference(processed))
    interval = json.loads((out / "details.json").read_text())["score_interval"]
    assert interval["low"] <= metrics["score"] <= interval["high"]


def test_items_give_the_score_and_equal_the_measurement_of_the_gate(report, processed):
    module, out, metrics = report
    items = pd.read_parquet(out / "items.parquet")
    assert evaluate.score(items) == pytest.approx(metrics["score"])
    pd.testing.assert_frame_equal(evaluate.measure(module, processed), items)


def test_slices_divide_the_sentences_by_each_property(report):
    _, out, metrics = report
    table = pd.read_csv(out / "slices.csv").set_index("slice")
    assert table.loc["all sentences", "accuracy"] == pytest.approx(metrics["score"])
    total = table.loc["all sentences", "sentences"]
    assert table.loc[["with a negation", "without a negation"], "sentences"].sum() == total
    assert table.loc[[name for name in table.index if name.endswith("words")], "sentences"].sum() == total


def test_mistakes_are_listed_with_their_texts_and_the_highest_confidence_first(report, processed):
    _, out, _ = report
    mistakes, items = pd.read_csv(out / "mistakes.csv"), pd.read_parquet(out / "items.parquet")
    assert len(mistakes) == (~items["correct"]).sum() > 0
    assert mistakes["confidence"].is_monotonic_decreasing
    test = pd.read_parquet(processed / "test.parquet")
    assert set(mistakes["text"]) == set(test["text"][~items["correct"]])


def test_baseline_is_the_share_of_the_most_frequent_training_class(processed):
    labels = pd.read_parquet(processed / "test.parquet")["label"]
    assert score_baseline(processed) == (labels == 0).mean()


def test_reference_model_is_perfect_if_single_words_determine_the_class(tmp_path):
    assert score_reference(make_processed(tmp_path)) == 1.0


def test_confidence_interval_contains_95_percent_of_a_binomial_distribution():
    low, high = slices.confidence_interval(np.repeat([True, False], [800, 200]))
    assert low == pytest.approx(0.8 - 1.96 * 0.01265, abs=0.004)
    assert high == pytest.approx(0.8 + 1.96 * 0.01265, abs=0.004)
    assert slices.confidence_interval(np.ones(10, bool)) == (1.0, 1.0)


def test_typing_errors_swap_two_inner_letters_of_a_share_of_the_long_words():
    text = " ".join(["wonderful", "is"] * 500)
    changed = robustness.add_typos_to_all([text], 0.3)[0].split()
    assert changed[1::2] == ["is"] * 500
    wrong = [word for word in changed[::2] if word != "wonderful"]
    assert 100 < len(wrong) < 200 and all(sorted(word) == sorted("wonderful") for word in wrong)
    assert all(word[0] == "w" and word[-1] == "l" for word in wrong)
    assert robustness.add_typos_to_all([text], 0.3)[0].split() == changed


def test_text_of_only_punctuation_marks_keeps_them():
    assert robustness.drop_punctuation("a film , it 's fine !").split() == ["a", "film", "it", "'s", "fine"]
    assert robustness.drop_punctuation("? !") == "? !"


def test_nearest_words_have_similar_vectors():
    vectors = {"good": [3, 0], "great": [3, 0.1], "bad": [-3, 0.2], "awful": [-2, 0.1], "the": [0, 0.1]}
    table = word_vectors.tabulate_neighbours({word: np.array(vector, float) for word, vector in vectors.items()})
    nearest = dict(zip(table["word"], table["nearest_words"].str.split(", ").str[0], strict=True))
    assert nearest["good"] == "great" and nearest["awful"] == "bad"
    assert table["word"].iloc[-1] == "the"
