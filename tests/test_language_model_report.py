"""Claims on the baseline, the scores and what the report shows."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from language_model_texts import WORKS, make_processed
from lectern.artifacts import history_file, model_folder
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset
from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.tasks.language_model.report import baseline, evaluate, scoring
from lectern.tasks.language_model.report.baseline import compute_ngram_nats
from lectern.tasks.language_model.report.context_length import find_closing_characters, loss_after_reset
from lectern.tasks.language_model.report.copying import compare_copying, find_longest_shared_run

GRU = {"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 12}


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(evaluate, "SAMPLED", (2, 50))


def make(facts: dict) -> CharacterModel:
    torch.manual_seed(1)
    return CharacterModel(facts, GRU, learning_rate=0.01).eval()


def count_by_hand(train: list[int], text: list[int], vocabulary: int, context: int) -> list[float]:
    """Witten-Bell from its definition, a character at a time."""

    def likelihood(before: tuple, character: int) -> float:
        below = likelihood(before[1:], character) if before else 1 / vocabulary
        after = [
            train[place + len(before)]
            for place in range(len(train) - len(before))
            if tuple(train[place : place + len(before)]) == before
        ]
        if not after:
            return below
        different = len(set(after))
        return (Counter(after)[character] + different * below) / (len(after) + different)

    return [
        -np.log(likelihood(tuple(text[max(0, place - context) : place]), character))
        for place, character in enumerate(text)
    ]


def test_counting_follows_its_definition():
    draws = np.random.default_rng(1)
    train, text = draws.integers(1, 5, 300), draws.integers(1, 5, 40)
    found = compute_ngram_nats(train.astype(np.uint16), text.astype(np.uint16), 6, context=3)
    assert found == pytest.approx(count_by_hand(train.tolist(), text.tolist(), 6, 3))


def test_likelihoods_of_all_next_characters_add_up_to_one():
    train = np.random.default_rng(1).integers(1, 5, 300).astype(np.uint16)
    start = [1, 2, 3]
    last = [compute_ngram_nats(train, np.array([*start, character], np.uint16), 6, 3)[-1] for character in range(6)]
    assert np.exp(-np.array(last)).sum() == pytest.approx(1)


def test_the_floor_learns_from_the_training_text_alone(tmp_path):
    processed, _ = make_processed(tmp_path)
    before = baseline.score_baseline(processed)
    np.save(processed / "validation.npy", np.ones(5, np.uint16))
    assert baseline.score_baseline(processed) == before
    np.save(processed / "train.npy", np.load(processed / "train.npy")[:100])
    assert baseline.score_baseline(processed) > before


def test_a_text_is_scored_as_if_read_once_from_its_start(tmp_path, monkeypatch):
    _, facts = make_processed(tmp_path)
    module, ids = make(facts), encode(WORKS["two.txt"] * 3, facts)
    monkeypatch.setattr(scoring, "LONG", 200)  # several streams, each warmed up
    monkeypatch.setattr(scoring, "WARM_UP", 150)
    nats, hits = scoring.score_text(module, ids)
    given = torch.from_numpy(np.append(0, ids[:-1]).astype(int))
    logits, _ = module(given[None])
    whole = torch.nn.functional.cross_entropy(logits[0], torch.from_numpy(ids.astype(int)), reduction="none")
    assert nats == pytest.approx(whole.detach().numpy(), abs=1e-4)
    assert (hits == (logits[0].argmax(1).numpy() == ids)).all()


def test_the_score_is_that_of_all_characters(tmp_path):
    items = evaluate.tabulate_lines("ab\nc\n", np.array([1.0, 2, 3, 4, 5]), np.array([True, False, True, True, True]))
    assert items["characters"].tolist() == [3, 2]
    assert items["hits"].tolist() == [2, 2]
    assert evaluate.score(items) == 3.0
    assert len(evaluate.tabulate_lines("ab\nc", np.ones(4), np.ones(4, bool))) == 2


def test_the_longest_shared_run_is_found():
    draws = np.random.default_rng(1)
    source, text = draws.integers(0, 9, 3000), draws.integers(9, 18, 500)
    text[200:263] = source[1000:1063]
    assert find_longest_shared_run(text, source) == (63, 200)
    assert find_longest_shared_run(np.array([1, 2]), np.array([3, 4])) == (0, 0)
    assert find_longest_shared_run(source[:40], source) == (40, 0)


def test_no_copied_run_crosses_the_edge_of_two_texts():
    facts = {"alphabet": "abcdef"}
    train = encode("abcdef", {**facts, "prepare": {"normal_form": "NFC"}})
    found = compare_copying([train[:3], train[3:]], train, train, facts)
    assert found["sampled"] == {"characters": 6, "length": 3, "run": "abc"}
    assert found["held_out"]["length"] == 3


def test_brackets_and_quotes_close_what_opened_last():
    places, distances = find_closing_characters("f(a[0], \"x)y\", 'b', don't)")
    assert places.tolist() == [5, 12, 17, 25]
    assert distances.tolist() == [2, 4, 2, 24]
    assert find_closing_characters("'Tis so\nth' end")[0].tolist() == []
    assert find_closing_characters("no ] end")[0].tolist() == []


def test_what_a_character_is():
    assert evaluate.classify_characters("The cat's 2\n\t[") == [
        "capital", "later letter", "later letter", "space", "first letter", "later letter", "later letter", "other",
        "later letter", "space", "digit", "new line", "tab", "other",
    ]  # fmt: skip


def test_a_reset_costs_nothing_where_nothing_is_remembered(tmp_path):
    _, facts = make_processed(tmp_path)
    module, ids = make(facts), encode(WORKS["one.txt"], facts)
    torch.nn.init.zeros_(module.network.layers[0].weight_hh_l0)
    module.network.layers[0].bias_ih_l0.data[12:24] = -100  # the update gate lets nothing of the old state through
    found = loss_after_reset(module, ids, scoring.score_text(module, ids)[0])
    assert found["excess"] == pytest.approx([0] * len(found["excess"]), abs=1e-4)


def test_an_evaluation_leaves_all_that_the_gate_and_the_reader_need(tmp_path):
    processed, facts = make_processed(tmp_path)
    metrics = evaluate.evaluate(make(facts), processed, tmp_path)
    items = pd.read_parquet(tmp_path / "items.parquet")
    assert evaluate.score(items) == metrics["score"]
    assert metrics["bits_per_character"] == pytest.approx(metrics["score"] / np.log(2))
    assert len(metrics) == 6
    assert len(items) == facts["items"]["test"]
    assert items["characters"].sum() == len(WORKS["four.txt"])
    assert {"item", "block"} <= set(items)
    assert json.loads((tmp_path / "details.json").read_text())["validation"]["counting"] > 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"classes.png", "memory.png"}
    assert "learned by heart" in (tmp_path / "samples.md").read_text()


def test_two_evaluations_give_the_same_bytes(tmp_path):
    processed, facts = make_processed(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        evaluate.evaluate(make(facts), processed, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_samples_over_training_stand_in_order(tmp_path):
    evaluate.write_text_samples([TextSample(10, 0, "sample", "qxz"), TextSample(20, 0, "sample", "to be")], tmp_path)
    text = (tmp_path / "samples_over_training.md").read_text()
    assert text.index("qxz") < text.index("Step 20") < text.index("to be")


def test_an_evaluation_reports_the_samples_that_the_training_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ExperimentPaths("poems-gru", "poems")
    processed, facts = make_processed(tmp_path)
    paths.processed.parent.mkdir(parents=True)
    processed.rename(paths.processed)
    model_folder.save_model(make(facts), paths.model)
    history = [Record(step, 0, f"{part}_loss", 3.0) for step in (10, 20) for part in ("train", "validation")]
    history_file.write_history(
        history, [TextSample(10, 0, "sample", "qxz"), TextSample(20, 0, "sample", "to be")], paths.model
    )
    evaluate.evaluate(paths, Dataset("poems", "language_model", "poems", {"higher_is_better": False}))
    text = (paths.report / "samples_over_training.md").read_text()
    assert text.index("Step 10") < text.index("qxz") < text.index("Step 20") < text.index("to be")


def test_the_memories_of_two_experiments_are_drawn_and_a_missing_one_is_named(tmp_path, monkeypatch):
    import typer

    from lectern.tasks.language_model import commands

    monkeypatch.chdir(tmp_path)
    processed, facts = make_processed(tmp_path)
    (tmp_path / "reports/first").mkdir(parents=True)
    evaluate.evaluate(make(facts), processed, tmp_path / "reports/first")
    app = typer.Typer()
    commands.register_commands(app)
    assert CliRunner().invoke(app, ["memory", "first"]).exit_code == 0
    assert (tmp_path / "reports/memory.png").is_file()
    assert "dvc repro evaluate@second" in str(CliRunner().invoke(app, ["memory", "first", "second"]).exception)
