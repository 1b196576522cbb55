"""Test the baseline, the scores and the report of a language model."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from language_model_texts import WORKS, make_processed
from lectern.artifacts import history_file, model_folder
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset
from lectern.stages import evaluation
from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.tasks.language_model.report import baseline, evaluate, scoring
from lectern.tasks.language_model.report.baseline import compute_ngram_nats
from lectern.tasks.language_model.report.character_classes import classify_characters
from lectern.tasks.language_model.report.context_length import find_closing_characters, loss_after_reset
from lectern.tasks.language_model.report.copying import compare_copying, find_longest_shared_run

GRU = {"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 12}
TEXT_SAMPLES = [TextSample(10, 0, "sample", "qxz"), TextSample(20, 0, "sample", "to be")]


@pytest.fixture(autouse=True)
def short_copying_samples(monkeypatch):
    monkeypatch.setattr(evaluate, "COPYING_SAMPLES", (2, 50))


def make_module(facts: dict) -> CharacterModel:
    torch.manual_seed(1)
    return CharacterModel(facts, GRU, learning_rate=0.01).eval()


# Baseline


def count_ngrams_by_definition(train: list[int], text: list[int], vocabulary: int, context: int) -> list[float]:
    """Return the Witten-Bell loss of each id, computed directly from the definition."""

    def probability(before: tuple, character: int) -> float:
        shorter = probability(before[1:], character) if before else 1 / vocabulary
        successors = [
            train[position + len(before)]
            for position in range(len(train) - len(before))
            if tuple(train[position : position + len(before)]) == before
        ]
        if not successors:
            return shorter
        different = len(set(successors))
        return (Counter(successors)[character] + different * shorter) / (len(successors) + different)

    return [
        -np.log(probability(tuple(text[max(0, position - context) : position]), character))
        for position, character in enumerate(text)
    ]


def test_ngram_losses_match_the_definition():
    generator = np.random.default_rng(1)
    train, text = generator.integers(1, 5, 300), generator.integers(1, 5, 40)
    nats = compute_ngram_nats(train.astype(np.uint16), text.astype(np.uint16), 6, context=3)
    assert nats == pytest.approx(count_ngrams_by_definition(train.tolist(), text.tolist(), 6, 3))


def test_ngram_probabilities_of_all_next_characters_sum_to_one():
    train = np.random.default_rng(1).integers(1, 5, 300).astype(np.uint16)
    texts = [np.array([1, 2, 3, character], np.uint16) for character in range(6)]
    nats = np.array([compute_ngram_nats(train, text, 6, 3)[-1] for text in texts])
    assert np.exp(-nats).sum() == pytest.approx(1)


def test_baseline_depends_on_the_training_text_and_not_on_the_validation_text(tmp_path):
    processed, _ = make_processed(tmp_path)
    score = baseline.score_baseline(processed)
    np.save(processed / "validation.npy", np.ones(5, np.uint16))
    assert baseline.score_baseline(processed) == score
    np.save(processed / "train.npy", np.load(processed / "train.npy")[:100])
    assert baseline.score_baseline(processed) > score


# Scores


def test_scores_equal_those_of_reading_the_text_in_one_piece(tmp_path, monkeypatch):
    _, facts = make_processed(tmp_path)
    module, ids = make_module(facts), encode(WORKS["two.txt"] * 3, facts)
    monkeypatch.setattr(scoring, "LONG_STREAM_LENGTH", 200)  # With this value, the text is cut into several streams.
    monkeypatch.setattr(scoring, "WARM_UP_LENGTH", 150)
    nats, hits = scoring.score_text(module, ids)
    inputs = torch.from_numpy(np.append(0, ids[:-1]).astype(int))
    logits, _ = module(inputs[None])
    expected = torch.nn.functional.cross_entropy(logits[0], torch.from_numpy(ids.astype(int)), reduction="none")
    assert nats == pytest.approx(expected.detach().numpy(), abs=1e-4)
    assert (hits == (logits[0].argmax(1).numpy() == ids)).all()


def test_lines_of_one_work_are_a_group(tmp_path):
    processed, facts = make_processed(tmp_path, validation=["three.txt"], test=["four.txt", "two.txt"])
    items = evaluate.measure(make_module(facts), processed)
    lines = [len(WORKS[name].splitlines()) for name in ("four.txt", "two.txt")]
    assert items.groupby("group").size().tolist() == lines


def test_score_is_the_mean_loss_over_characters_and_not_over_lines():
    hits = np.array([True, False, True, True, True])
    items = evaluate.tabulate_lines("ab\nc\n", np.array([1.0, 2, 3, 4, 5]), hits, [0])
    assert items["characters"].tolist() == [3, 2]
    assert items["hits"].tolist() == [2, 2]
    assert evaluate.score(items) == 3.0
    assert len(evaluate.tabulate_lines("ab\nc", np.ones(4), np.ones(4, bool), [0])) == 2


# Copying


def test_longest_shared_run_is_found():
    generator = np.random.default_rng(1)
    source, text = generator.integers(0, 9, 3000), generator.integers(9, 18, 500)
    text[200:263] = source[1000:1063]
    assert find_longest_shared_run(text, source) == (63, 200)
    assert find_longest_shared_run(np.array([1, 2]), np.array([3, 4])) == (0, 0)
    assert find_longest_shared_run(source[:40], source) == (40, 0)


def test_copied_run_does_not_cross_the_boundary_of_two_texts():
    facts = {"alphabet": "abcdef", "prepare": {"normal_form": "NFC"}}
    train = encode("abcdef", facts)
    copying = compare_copying([train[:3], train[3:]], train, train, facts)
    assert copying["sampled"] == {"characters": 6, "length": 3, "run": "abc"}
    assert copying["held_out"]["length"] == 3


# Context length and character classes


def test_closing_brackets_and_quotes_are_matched_with_the_last_opened_ones():
    positions, distances = find_closing_characters("f(a[0], \"x)y\", 'b', don't)")
    assert positions.tolist() == [5, 12, 17, 25]
    assert distances.tolist() == [2, 4, 2, 24]
    assert find_closing_characters("'Tis so\nth' end")[0].tolist() == []
    assert find_closing_characters("no ] end")[0].tolist() == []


def test_characters_are_classified_by_their_kind_and_position_in_the_word():
    assert classify_characters("The cat's 2\n\t[") == [
        "capital", "later letter", "later letter", "space", "first letter", "later letter", "later letter", "other",
        "later letter", "space", "digit", "new line", "tab", "other",
    ]  # fmt: skip


def test_reset_does_not_change_the_loss_of_a_network_that_ignores_its_state(tmp_path):
    _, facts = make_processed(tmp_path)
    module, ids = make_module(facts), encode(WORKS["one.txt"], facts)
    torch.nn.init.zeros_(module.network.layers[0].weight_hh_l0)
    # With this bias, the update gate of the GRU ignores the old state.
    module.network.layers[0].bias_ih_l0.data[12:24] = -100
    curve = loss_after_reset(module, ids, scoring.score_text(module, ids)[0])
    assert curve["excess"] == pytest.approx([0] * len(curve["excess"]), abs=1e-4)


# Report


def test_report_contains_all_files_and_consistent_metrics(tmp_path):
    processed, facts = make_processed(tmp_path)
    metrics = evaluate.evaluate(make_module(facts), processed, tmp_path)
    items = pd.read_parquet(tmp_path / "items.parquet")
    assert evaluate.score(items) == metrics["score"]
    assert metrics["bits_per_character"] == pytest.approx(metrics["score"] / np.log(2))
    assert len(metrics) == 4
    assert len(items) == facts["items"]["test"]
    assert items["characters"].sum() == len(WORKS["four.txt"])
    assert items["group"].unique().tolist() == [0]
    assert json.loads((tmp_path / "details.json").read_text())["validation"]["baseline"] > 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"classes.png", "memory.png"}
    assert "Longest copy of the training text" in (tmp_path / "samples.md").read_text()


@pytest.mark.slow
def test_evaluating_twice_gives_the_same_bytes(tmp_path):
    processed, facts = make_processed(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        evaluate.evaluate(make_module(facts), processed, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_samples_over_training_are_written_in_order(tmp_path):
    evaluate.write_text_samples(TEXT_SAMPLES, tmp_path)
    text = (tmp_path / "samples_over_training.md").read_text()
    assert text.index("Step 10") < text.index("qxz") < text.index("Step 20") < text.index("to be")


@pytest.mark.slow
def test_evaluate_stage_reports_the_samples_of_the_model_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ExperimentPaths("poems-gru", "poems")
    processed, facts = make_processed(tmp_path)
    paths.processed.parent.mkdir(parents=True)
    processed.rename(paths.processed)
    model_folder.save_model(make_module(facts), paths.model)
    records = [Record(step, 0, f"{part}_loss", 3.0) for step in (10, 20) for part in ("train", "validation")]
    history_file.write_history(records, TEXT_SAMPLES, paths.model)
    score = {"name": "nats_per_character", "unit": "nats per character", "higher_is_better": False}
    evaluation.evaluate(paths, Dataset("poems", "language_model", "poems", score))
    text = (paths.report / "samples_over_training.md").read_text()
    assert text.index("Step 10") < text.index("qxz") < text.index("Step 20") < text.index("to be")
