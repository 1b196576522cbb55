"""Parallel files to splits that share nothing, a vocabulary that knows every text, batches that lose no sentence."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.translation.data import samples
from lectern.tasks.translation.data.corpus import read_corpus, read_pairs
from lectern.tasks.translation.data.duplicates import drop_repeats, keep_apart
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.cleaning import DIRT, count_dirt, normalise
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.model import loader
from translation_toy import PAIRS, make_processed

LANGUAGES, COLUMNS = ("en", "de"), (0, 1)


def pairs(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["source", "target"], dtype=object)


# ---- corpus ----


def test_plain_gzipped_zipped_and_tabular_files_give_the_same_pairs(tmp_path):
    sides = {"en": "A man.\nTwo dogs.\n", "de": "Ein Mann.\nZwei Hunde.\n"}
    for language, text in sides.items():
        (tmp_path / f"plain.{language}").write_text(text)
        (tmp_path / f"packed.{language}.gz").write_bytes(gzip.compress(text.encode()))
        with zipfile.ZipFile(tmp_path / "all.zip", "a") as archive:
            archive.writestr(f"inside/train.{language}", text)
    (tmp_path / "table.tsv").write_text("1\tEin Mann.\tA man.\n2\tZwei Hunde.\tTwo dogs.\n")
    expected = read_pairs(tmp_path, "plain.{language}", LANGUAGES, COLUMNS)
    assert expected.values.tolist() == [["A man.", "Ein Mann."], ["Two dogs.", "Zwei Hunde."]]
    for name in ("packed.{language}.gz", "all.zip/inside/train.{language}"):
        pd.testing.assert_frame_equal(read_pairs(tmp_path, name, LANGUAGES, COLUMNS), expected)
    pd.testing.assert_frame_equal(read_pairs(tmp_path, "table.tsv", LANGUAGES, (2, 1)), expected)


def test_only_a_line_feed_ends_a_line(tmp_path):
    (tmp_path / "x.en").write_bytes("\ufeffone\u2028two\x85three\r\nfour".encode())
    (tmp_path / "x.de").write_text("eins\nvier\n")
    assert read_pairs(tmp_path, "x.{language}", LANGUAGES, COLUMNS)["source"].tolist() == [
        "one\u2028two\x85three",
        "four",
    ]


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({"x.en": b"a\nb\nc\n", "x.de": b"a\nb\n"}, "x.{language}", r"x\.en has 3 and x\.de has 2"),
        ({"x.en": b"a\nb\xff\n", "x.de": b"a\nb\n"}, "x.{language}", r"x\.en, line 2: byte 0xff is not UTF-8"),
        ({"x.en": b"a", "x.fr": b"a", "x.cs": b"a"}, "x.{language}", r"languages of x.{language} are: cs, en, fr"),
        ({"x.tsv": b"a\tb\nc\n"}, "x.tsv", r"x\.tsv, line 2: 1 tab-separated columns"),
        ({"y.tsv": b"a\tb\n"}, "x.tsv", r"x\.tsv is not there. There is: y\.tsv"),
        ({"x.gz": b"no gzip"}, "x.gz", "cannot be unpacked"),
        ({"x.zip": b"no zip"}, "x.zip/a.tsv", "cannot be unpacked"),
    ],
)
def test_files_that_are_no_corpus_are_refused_by_name(tmp_path, files, name, message):
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_pairs(tmp_path, name, LANGUAGES, COLUMNS)


def test_a_number_holds_out_as_many_pairs_and_loses_none(tmp_path):
    (tmp_path / "all.tsv").write_text("".join(f"word {n}\tWort {n}\n" for n in range(20)))
    corpus = read_corpus(tmp_path, LANGUAGES, COLUMNS, "all.tsv", 5, ["all.tsv"])
    assert len(corpus.validation) == 5
    assert {*corpus.train["source"], *corpus.validation["source"]} == {f"word {n}" for n in range(20)}
    with pytest.raises(UserError, match="20 pairs are to be held out of 20"):
        read_corpus(tmp_path, LANGUAGES, COLUMNS, "all.tsv", 20, ["all.tsv"])


# ---- cleaning ----

DIRTY = {
    "html_entities": "A &amp; B",
    "no_break_spaces": "A\u00a0B",
    "invisible_characters": "A\u200bB",
    "tabs_and_control_characters": "A\tB\x07",
    "spaces_at_an_end": " A B",
    "runs_of_spaces": "A  B",
    "other_unicode_forms": "A \ufb01t",
}


@pytest.mark.parametrize("kind", DIRT)
def test_each_kind_of_dirt_is_counted_and_then_gone(kind):
    assert count_dirt([DIRTY[kind], "A clean sentence."])[kind] == 1
    assert count_dirt([normalise(DIRTY[kind])]) == dict.fromkeys(DIRT, 0)


def test_near_duplicates_of_held_out_pairs_leave_training():
    held_out = pairs(("A man in a red shirt climbs a tall ladder.", "x"), ("Short one.", "y"))
    near = pairs(
        ("a man in a RED shirt climbs a tall ladder", "1"),  # case and punctuation
        ("A man in a blue shirt climbs a tall ladder.", "2"),  # another word
        ("A man in a shirt climbs a tall ladder.", "3"),  # a word less
        ("Nothing like it.", "Y!"),  # the other side
    )
    far = pairs(("A man in a blue hat climbs a tall ladder.", "5"), ("Short two.", "6"))
    kept = keep_apart(pd.concat([near, far], ignore_index=True), [held_out], near_from=8)
    assert kept["target"].tolist() == ["5", "6"]
    only_same = keep_apart(near, [held_out], near_from=None)
    assert only_same["target"].tolist() == ["2", "3"]


def test_a_pair_that_occurs_twice_is_learned_once_but_two_translations_are_kept():
    assert drop_repeats(pairs(("a", "x"), ("a", "x"), ("a", "y")))["target"].tolist() == ["x", "y"]


# ---- preprocess ----


def test_what_was_done_to_the_corpus_stands_in_the_facts(tmp_path):
    train = [*PAIRS, PAIRS[0], ("", "leer"), ("tab\there now", "dort"), ("A test sentence!", "mal sehen")]
    facts = read_facts(make_processed(tmp_path, train=train, test=[("A test sentence.", "Ein Satz.")]))
    counts = facts["counts"]["train"]
    assert counts["pairs_read"] == len(PAIRS) + 4
    assert counts["repeated_pairs_dropped"] == counts["empty_pairs_dropped"] == 1
    assert counts["near_duplicates_of_held_out_dropped"] == counts["tabs_and_control_characters"] == 1
    assert facts["items"] == {"train": len(PAIRS) + 1, "validation": 2, "test": 1}


def test_no_sentence_is_in_two_splits(tmp_path):
    everywhere, twice = ("The very same words.", "Genau dieselben Worte."), ("And these twice.", "Und die doppelt.")
    train, validation = [*PAIRS, everywhere, twice], [everywhere, twice, ("B.", "b")]
    processed = make_processed(tmp_path, train=train, validation=validation, test=[everywhere])
    splits = ("train", "validation", "test")
    texts = [set(pd.read_parquet(processed / f"{split}.parquet")["source"]) for split in splits]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert everywhere[0] in texts[2] and twice[0] in texts[1]


def test_the_vocabulary_is_learned_from_the_training_split_alone(tmp_path):
    one = read_facts(make_processed(tmp_path / "one"))
    other = make_processed(tmp_path / "other", validation=[("Ŧhis ŧhing", "q")], test=[("Ŧhat ŧhing", "Ŧ")])
    assert read_facts(other)["tokenizer"] == one["tokenizer"]
    assert read_facts(other)["test_digest"] != one["test_digest"]


def test_the_same_files_give_the_same_bytes(tmp_path):
    facts = [make_processed(tmp_path / name) / "facts.json" for name in ("one", "other")]
    assert facts[0].read_bytes() == facts[1].read_bytes()


def test_an_empty_line_in_a_test_is_refused(tmp_path):
    with pytest.raises(UserError, match="test: line 2 is empty"):
        make_processed(tmp_path, test=[("a", "b"), ("\u200b", "c")])


def test_a_long_sentence_is_cut_in_training_with_a_warning_and_refused_in_serving(tmp_path, capsys):
    processed = make_processed(tmp_path, train=[*PAIRS, ("dog " * 60, "Hund")], max_length=30)
    assert "1 sentences (source) were cut to 30 pieces" in capsys.readouterr().err
    assert pd.read_parquet(processed / "train.parquet")["source_ids"].map(len).max() == 31  # and the end
    with pytest.raises(UserError, match="Sentence 2 has 60 pieces; this model takes 30 at most"):
        prepare(["A dog.", "dog " * 60], read_facts(processed))


def test_a_test_sentence_that_no_model_would_take_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="test: Sentence 1 has 60 pieces.* Or raise preprocess.max_length"):
        make_processed(tmp_path, test=[("dog " * 60, "Hund")], max_length=30)


@pytest.mark.parametrize(
    ("sources", "message"),
    [(["ok", " \t\u200b"], "Sentence 2 is empty"), ([None], "Sentence 1 is None"), ([3.5], "Sentence 1 is 3.5")],
)
def test_what_is_no_sentence_is_refused(tmp_path, sources, message):
    with pytest.raises(UserError, match=message):
        prepare(sources, read_facts(make_processed(tmp_path)))


def test_control_characters_do_not_reach_the_network(tmp_path):
    facts = read_facts(make_processed(tmp_path))
    assert prepare(["A\x00 man\x1b \ud800sleeps.\r\n"], facts) == prepare(["A man sleeps."], facts)


def test_an_unknown_score_is_refused(tmp_path):
    with pytest.raises(UserError, match="'rouge'; it must be one of: bleu, exact_match"):
        make_processed(tmp_path, score="rouge")


# ---- vocabulary ----


@pytest.mark.parametrize("text", ["Zürich 東京 🙂", 'He said: "no", (twice)!', "<eos> <pad> <0x41>", "a_b C++ 3.14"])
def test_any_text_comes_back_from_its_ids(tmp_path, text):
    tokenizer = vocabulary.load(read_facts(make_processed(tmp_path))["tokenizer"])
    ids = vocabulary.encode(tokenizer, [text])
    assert vocabulary.decode(tokenizer, ids) == [text]
    assert not {vocabulary.PAD, vocabulary.BOS, vocabulary.EOS} & set(ids[0])  # typed signs are letters


# ---- batches ----


def sentences(count: int = 157, tokens: int = 120, seed: int = 3, shuffle: bool = True) -> loader.Sentences:
    """Rows whose first id says which they are; a translation is about as long as its source."""
    random = np.random.default_rng(0)
    lengths = random.integers(3, 20, count)
    sides = [
        loader.Packed(
            [np.array([row + 10, *[5] * (length + random.integers(-1, 2))]) for row, length in enumerate(lengths)]
        )
        for _ in range(2)
    ]
    return loader.Sentences(*sides, tokens=tokens, round_to=2, shuffle=shuffle, seed=seed)


def rows_of(batch: loader.Batch) -> list[int]:
    assert batch[0][:, 0].tolist() == batch[1][:, 0].tolist()  # source and target belong together
    return (batch[0][:, 0] - 10).tolist()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_each_sentence_comes_once_an_epoch_over_all_ranks(monkeypatch, world):
    seen, shares = [], []
    for rank in range(world):
        monkeypatch.setattr(loader, "rank_and_world_size", lambda rank=rank: (rank, world))
        given = list(sentences())
        seen += [row for batch in given if batch[2] > 0 for row in rows_of(batch)]
        shares.append([batch[2] for batch in given])
    assert sorted(seen) == list(range(157))
    assert np.allclose(np.sum(shares, 0), world)  # so that the mean over ranks of mean * share is the mean over words


def test_no_batch_holds_more_than_its_tokens_and_little_of_it_is_padding():
    data = list(sentences(count=3000, tokens=1000))
    sizes = [source.numel() + target[:, 1:].numel() for source, target, _ in data]
    padding = [int((source == 0).sum() + (target == 0).sum()) for source, target, _ in data]
    assert max(sizes) <= 1000
    assert sum(padding) / sum(sizes) < 0.08


def test_the_order_is_another_in_each_epoch_and_seed_and_the_same_again():
    def order(seed: int, epoch: int) -> list[list[int]]:
        data = sentences(seed=seed)
        data.sampler.set_epoch(epoch)
        return [rows_of(batch) for batch in data]

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2) != order(4, 2)
    assert len(order(3, 1)) == len(order(3, 2)) == len(order(4, 1)) == len(sentences())
    assert sorted(map(sorted, order(3, 1))) != sorted(map(sorted, order(3, 2)))  # batches are mixed, not only moved


def test_a_restored_place_goes_on_with_the_next_batch():
    whole = sentences()
    whole.set_epoch(2)
    expected = [rows_of(batch) for batch in whole]
    first, second = sentences(), sentences()
    first.set_epoch(2)
    given = iter(first)
    begun = [rows_of(next(given)) for _ in range(3)]
    second.load_state_dict(first.state_dict())
    second.set_epoch(2)  # as Lightning does, after the state is restored
    assert begun + [rows_of(batch) for batch in second] == expected
    with pytest.raises(ValueError, match="other batches"):
        sentences(tokens=200).load_state_dict(first.state_dict())


def test_validation_is_not_shuffled(tmp_path):
    processed = make_processed(tmp_path)
    data = loader.load(processed, "validation", seed=1, tokens=400)
    first = [batch[0].tolist() for batch in data]
    data.set_epoch(5)
    assert [batch[0].tolist() for batch in data] == first


def test_a_pair_larger_than_a_batch_is_refused():
    with pytest.raises(UserError, match="batches.tokens is 20, but one pair alone has 42. Raise it."):
        sentences(tokens=20)


# ---- sample numbers ----


def test_no_number_is_in_two_splits_and_the_same_seed_gives_the_same_files(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        assert "num2words" in samples.make(tmp_path / name, count=300, seed=7)
    lines = [(tmp_path / "one" / f"{split}.tsv").read_text().splitlines() for split in ("train", "validation", "test")]
    assert [len(part) for part in lines] == [270, 15, 15]
    assert len({line for part in lines for line in part}) == 300
    assert all(
        (tmp_path / "other" / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "one").iterdir()
    )
