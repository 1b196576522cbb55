"""Test that a corpus is read and cleaned, that splits share no sentence, and that the vocabulary loses no text."""

import gzip
import zipfile

import pandas as pd
import pytest

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.translation.data import samples
from lectern.tasks.translation.data.corpus import CorpusFiles, read_corpus, read_pairs
from lectern.tasks.translation.data.duplicates import drop_exact_duplicates, drop_near_duplicates
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.cleaning import DEFECTS, count_defects, normalize
from lectern.tasks.translation.data.format.sentences import prepare
from translation_toy import PAIRS, make_processed

LANGUAGES, COLUMNS = ("en", "de"), (0, 1)


def make_pairs(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["source", "target"], dtype=object)


# ---- corpus ----


def test_plain_gzipped_zipped_and_tab_separated_files_give_the_same_pairs(tmp_path):
    sides = {"en": "A man.\nTwo dogs.\n", "de": "Ein Mann.\nZwei Hunde.\n"}
    for language, text in sides.items():
        (tmp_path / f"plain.{language}").write_text(text)
        (tmp_path / f"packed.{language}.gz").write_bytes(gzip.compress(text.encode()))
        with zipfile.ZipFile(tmp_path / "all.zip", "a") as archive:
            archive.writestr(f"inside/train.{language}", text)
    (tmp_path / "table.tsv").write_text("1\tEin Mann.\tA man.\n2\tZwei Hunde.\tTwo dogs.\n")
    expected = read_pairs(CorpusFiles(tmp_path, LANGUAGES), "plain.{language}")
    assert expected.values.tolist() == [["A man.", "Ein Mann."], ["Two dogs.", "Zwei Hunde."]]
    for name in ("packed.{language}.gz", "all.zip/inside/train.{language}"):
        pd.testing.assert_frame_equal(read_pairs(CorpusFiles(tmp_path, LANGUAGES), name), expected)
    pd.testing.assert_frame_equal(read_pairs(CorpusFiles(tmp_path, LANGUAGES, (2, 1)), "table.tsv"), expected)


def test_only_a_line_feed_ends_a_line(tmp_path):
    (tmp_path / "x.en").write_bytes("\ufeffone\u2028two\x85three\r\nfour".encode())
    (tmp_path / "x.de").write_text("eins\nvier\n")
    pairs = read_pairs(CorpusFiles(tmp_path, LANGUAGES), "x.{language}")
    assert pairs["source"].tolist() == ["one\u2028two\x85three", "four"]


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({"x.en": b"a\nb\nc\n", "x.de": b"a\nb\n"}, "x.{language}", r"x\.en has 3 and x\.de has 2"),
        ({"x.en": b"a\nb\xff\n", "x.de": b"a\nb\n"}, "x.{language}", r"x\.en, line 2: byte 0xff is not UTF-8"),
        ({"x.en": b"a", "x.fr": b"a", "x.cs": b"a"}, "x.{language}", r"x.{language} exists for: cs, en, fr"),
        ({"x.tsv": b"a\tb\nc\n"}, "x.tsv", r"x\.tsv, line 2: found 1 tab-separated columns"),
        ({"y.tsv": b"a\tb\n"}, "x.tsv", r"x\.tsv does not exist. Available files: y\.tsv"),
        ({"x.gz": b"no gzip"}, "x.gz", r"Cannot read .*x\.gz"),
        ({"x.zip": b"no zip"}, "x.zip/a.tsv", r"Cannot read .*x\.zip/a\.tsv"),
    ],
)
def test_an_invalid_corpus_file_is_rejected_with_its_name(tmp_path, files, name, message):
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_pairs(CorpusFiles(tmp_path, LANGUAGES), name)


def test_two_tests_with_the_same_name_are_rejected(tmp_path):
    for name in ("test.tsv", "test.old.tsv"):
        (tmp_path / name).write_text("a\tb\n")
    with pytest.raises(UserError, match="Two test files have the same name before the first dot"):
        read_corpus(CorpusFiles(tmp_path, LANGUAGES), "test.tsv", "test.tsv", "test.tsv", ["test.old.tsv"])


# ---- cleaning ----

TEXT_WITH_DEFECT = {
    "html_entities": "A &amp; B",
    "no_break_spaces": "A\u00a0B",
    "invisible_characters": "A\u200bB",
    "control_characters": "A\tB\x07",
    "leading_or_trailing_spaces": " A B",
    "repeated_spaces": "A  B",
    "not_in_unicode_form_nfkc": "A \ufb01t",
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_each_kind_of_defect_is_counted_and_then_removed(kind):
    assert count_defects([TEXT_WITH_DEFECT[kind], "A clean sentence."])[kind] == 1
    assert count_defects([normalize(TEXT_WITH_DEFECT[kind])]) == dict.fromkeys(DEFECTS, 0)


def test_near_duplicates_of_held_out_pairs_are_removed_from_training():
    held_out = make_pairs(("A man in a red shirt climbs a tall ladder.", "x"), ("Short one.", "y"))
    near = make_pairs(
        ("a man in a RED shirt climbs a tall ladder", "1"),  # The sentence differs in case and punctuation.
        ("A man in a blue shirt climbs a tall ladder.", "2"),  # In this sentence, one word is replaced.
        ("A man in a shirt climbs a tall ladder.", "3"),  # In this sentence, one word is removed.
        ("Nothing like it.", "Y!"),  # Only the target sentence is a duplicate.
    )
    far = make_pairs(("A man in a blue hat climbs a tall ladder.", "5"), ("Short two.", "6"))
    kept = drop_near_duplicates(pd.concat([near, far], ignore_index=True), [held_out], min_words=8)
    assert kept["target"].tolist() == ["5", "6"]
    without_exact = drop_near_duplicates(near, [held_out], min_words=None)
    assert without_exact["target"].tolist() == ["2", "3"]


def test_repeated_pairs_are_kept_once_and_different_translations_are_all_kept():
    pairs = make_pairs(("a", "x"), ("a", "x"), ("a", "y"))
    assert drop_exact_duplicates(pairs)["target"].tolist() == ["x", "y"]


# ---- preprocess ----


def test_facts_count_the_defects_and_the_dropped_pairs(tmp_path):
    train = [*PAIRS, PAIRS[0], ("", "leer"), ("tab\there now", "dort"), ("A test sentence!", "mal sehen")]
    facts = read_facts(make_processed(tmp_path, train=train, test=[("A test sentence.", "Ein Satz.")]))
    counts = facts["counts"]["train"]
    assert counts["pairs_read"] == len(PAIRS) + 4
    assert counts["repeated_pairs_dropped"] == counts["empty_pairs_dropped"] == 1
    assert counts["near_duplicates_of_held_out_dropped"] == counts["control_characters"] == 1
    assert facts["items"] == {"train": len(PAIRS) + 1, "validation": 2, "test": 1}


def test_no_sentence_is_in_two_splits(tmp_path):
    in_all, in_two = ("The very same words.", "Genau dieselben Worte."), ("And these twice.", "Und die doppelt.")
    train, validation = [*PAIRS, in_all, in_two], [in_all, in_two, ("B.", "b")]
    processed = make_processed(tmp_path, train=train, validation=validation, test=[in_all])
    splits = ("train", "validation", "test")
    train_texts, validation_texts, test_texts = (
        set(pd.read_parquet(processed / f"{split}.parquet")["source"]) for split in splits
    )
    assert not train_texts & validation_texts
    assert not train_texts & test_texts
    assert not validation_texts & test_texts
    assert in_all[0] in test_texts and in_two[0] in validation_texts


def test_a_corpus_without_pairs_to_validate_on_is_rejected(tmp_path):
    with pytest.raises(UserError, match="0 validation pairs remain"):
        make_processed(tmp_path, validation=[("A test.", "x")], test=[("A test.", "x")])


def test_the_vocabulary_depends_only_on_the_training_split(tmp_path):
    first = read_facts(make_processed(tmp_path / "first"))
    second = read_facts(
        make_processed(tmp_path / "second", validation=[("Ŧhis ŧhing", "q")], test=[("Ŧhat ŧhing", "Ŧ")])
    )
    assert second["tokenizer"] == first["tokenizer"]
    assert second["test_digest"] != first["test_digest"]


def test_the_same_raw_files_give_identical_outputs(tmp_path):
    facts = [make_processed(tmp_path / name) / "facts.json" for name in ("first", "second")]
    # The facts contain the digests of all other files, so all files are equal.
    assert facts[0].read_bytes() == facts[1].read_bytes()


def test_an_empty_line_in_a_test_is_rejected(tmp_path):
    with pytest.raises(UserError, match="test: line 2 is empty"):
        make_processed(tmp_path, test=[("a", "b"), ("\u200b", "c")])


def test_a_long_sentence_is_cut_with_a_warning_in_training_and_rejected_in_serving(tmp_path, capsys):
    processed = make_processed(tmp_path, train=[*PAIRS, ("dog " * 60, "Hund")], max_length=30)
    assert "1 sentences (source) were cut to 30 tokens" in capsys.readouterr().err
    # The sentence has 30 tokens and the token EOS.
    assert pd.read_parquet(processed / "train.parquet")["source_ids"].map(len).max() == 31
    with pytest.raises(UserError, match="Sentence 2 has 60 tokens; this model accepts at most 30"):
        prepare(["A dog.", "dog " * 60], read_facts(processed))


def test_a_test_sentence_that_no_model_would_accept_is_rejected_before_training(tmp_path):
    with pytest.raises(
        UserError, match="test: Sentence 1 has 60 tokens.* Or set preprocess.max_length to a larger number"
    ):
        make_processed(tmp_path, test=[("dog " * 60, "Hund")], max_length=30)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["ok", " \t\u200b"], "Sentence 2 is empty"),
        ([None], "Sentence 1 is None; expected a string"),
        ([3.5], "Sentence 1 is 3.5; expected a string"),
    ],
)
def test_an_invalid_sentence_is_rejected(tmp_path, sources, message):
    with pytest.raises(UserError, match=message):
        prepare(sources, read_facts(make_processed(tmp_path)))


def test_control_characters_do_not_reach_the_network(tmp_path):
    facts = read_facts(make_processed(tmp_path))
    assert prepare(["A\x00 man\x1b \ud800sleeps.\r\n"], facts) == prepare(["A man sleeps."], facts)


# ---- vocabulary ----


@pytest.mark.parametrize("text", ["Zürich 東京 🙂", 'He said: "no", (twice)!', "<eos> <pad> <0x41>", "a_b C++ 3.14"])
def test_decoding_restores_any_text(tmp_path, text):
    tokenizer = vocabulary.load_tokenizer(read_facts(make_processed(tmp_path))["tokenizer"])
    ids = vocabulary.encode(tokenizer, [text])
    assert vocabulary.decode(tokenizer, ids) == [text]
    # Even a text that contains "<eos>" does not produce the token EOS.
    assert not {vocabulary.PAD, vocabulary.BOS, vocabulary.EOS} & set(ids[0])


def test_an_id_outside_the_vocabulary_is_rejected(tmp_path):
    tokenizer = vocabulary.load_tokenizer(read_facts(make_processed(tmp_path))["tokenizer"])
    with pytest.raises(ValueError, match="token id 5000 is not in the vocabulary"):
        vocabulary.to_tokens(tokenizer, [5000])


# ---- sample numbers ----


def test_sample_numbers_share_nothing_between_splits_and_repeat_with_the_same_seed(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        assert "num2words" in samples.make(folder, count=300, seed=7)
    lines = [(first / f"{split}.tsv").read_text().splitlines() for split in ("train", "validation", "test")]
    assert [len(split) for split in lines] == [270, 15, 15]
    assert len({line for split in lines for line in split}) == 300
    assert all((second / path.name).read_bytes() == path.read_bytes() for path in first.iterdir())
