"""Test the preprocessing of labelled sentences: the words, the file format, the splits and the vocabulary."""

import pandas as pd
import pytest

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.sentences import prepare
from lectern.tasks.sentences.data.format.vocabulary import UNKNOWN, build_vocabulary
from lectern.tasks.sentences.data.format.words import comparison_key, split_words
from lectern.tasks.sentences.data.preprocess import preprocess
from lectern.tasks.sentences.data.samples import SUBJECTS, make
from sentence_texts import CLASSES, SENTENCES, make_processed, write_lines

FILES = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's great, isn't it?", "it 's great , is n't it ?"),
        ("THEY'RE   well-made", "they 're well-made"),
        ("they 're well-made", "they 're well-made"),
        ("a film -lrb- 1999 -rrb- \\/ a book", "a film ( 1999 ) / a book"),
        ("wait … what ... no…", "wait ... what ... no ..."),
        ("l’été d'un film", "l ' été d ' un film"),
        ("rock 'n' roll , the cats' home", "rock ' n ' roll , the cats ' home"),
        ("これは 映画 です", "これは 映画 です"),
    ],
)
def test_raw_text_and_split_text_have_the_same_words(text, words):
    assert split_words(text) == words.split()
    assert split_words(words) == words.split()


@pytest.mark.parametrize("other", ["IT'S A CAFE", "it ' s a café .", "it 's a -lrb- cafe -rrb-", "its a café…"])
def test_sentences_that_differ_in_case_spaces_accents_or_punctuation_are_equal(other):
    assert comparison_key(other) == comparison_key("it 's a cafe")
    assert comparison_key("it 's a cave") != comparison_key("it 's a cafe")


def test_texts_of_only_punctuation_marks_are_different():
    assert comparison_key(" ?!") == "?!" != comparison_key("...")


def test_words_keep_their_case_without_lowercase():
    assert split_words("What's NASA? I DON'T know -LRB- it", lowercase=False) == [
        "What", "'s", "NASA", "?", "I", "DO", "N'T", "know", "(", "it",
    ]  # fmt: skip


def test_vocabulary_has_the_most_frequent_words_in_an_order_that_does_not_depend_on_the_sentences():
    sentences = [["b", "a"], ["a", "c"]]
    assert build_vocabulary(sentences, 5) == ["<pad>", "<unknown>", "<mask>", "a", "b"]
    assert build_vocabulary(sentences[::-1], 5) == build_vocabulary(sentences, 5)


def test_a_text_cannot_contain_a_special_word():
    facts = {"vocabulary": build_vocabulary([["a"]], 10), "prepare": {"max_words": 10, "lowercase": True}}
    assert prepare(["a <pad> <mask>"], facts) == [[3, *[UNKNOWN] * 6]]


# Splits


def test_held_out_sentences_depend_only_on_their_words(tmp_path):
    tables = []
    for folder, sentences in (("a", SENTENCES), ("b", SENTENCES[::-1])):
        processed = make_processed(tmp_path / folder, sentences)
        tables.append({split: set(pd.read_parquet(processed / f"{split}.parquet")["text"]) for split in FILES})
    assert tables[0] == tables[1]
    sizes = {split: len(texts) for split, texts in tables[0].items()}
    assert sum(sizes.values()) == len(SENTENCES) and sizes["test"] == sizes["validation"] == 32


def test_no_sentence_is_in_two_splits_and_the_facts_count_what_was_dropped(tmp_path, capsys):
    unique = [(1, "one fine film"), (0, "one bad film"), (1, "a great plot")]
    write_lines(
        tmp_path / "train.txt", [*unique, (1, "ONE  fine film"), (0, "a great plot"), (1, "held -- out !"), (0, "t")]
    )
    write_lines(tmp_path / "dev.txt", [(1, "Held out"), (0, "T"), (1, "another")])
    write_lines(tmp_path / "test.txt", [(1, "t"), (0, "t")])
    preprocess(tmp_path, tmp_path / "out", CLASSES, **FILES)
    splits = {split: pd.read_parquet(tmp_path / f"out/{split}.parquet") for split in FILES}
    keys = {split: set(table["text"].map(comparison_key)) for split, table in splits.items()}
    assert keys == {
        "train": {"onefinefilm", "onebadfilm", "agreatplot"}, "validation": {"heldout", "another"}, "test": {"t"}
    }  # fmt: skip
    assert read_facts(tmp_path / "out")["counts"] == {
        "train": {
            "read": 7, "dropped_because_held_out": 2, "dropped_because_repeated": 1, "with_contradicting_labels": 1,
        },
        "validation": {"read": 3, "dropped_because_held_out": 1, "with_contradicting_labels": 0},
        "test": {"read": 2, "repeated": 1, "with_contradicting_labels": 1},
    }  # fmt: skip
    assert "train: 7 sentences read; 2 dropped because held out" in capsys.readouterr().err


def test_vocabulary_and_most_frequent_class_come_from_the_training_split_only(tmp_path):
    write_lines(tmp_path / "train.txt", [(0, "dull"), (0, "bad"), (1, "great")])
    write_lines(tmp_path / "dev.txt", [(1, "secret")] * 4)
    write_lines(tmp_path / "test.txt", [(1, "hidden")] * 4)
    preprocess(tmp_path, tmp_path / "out", CLASSES, **FILES)
    facts = read_facts(tmp_path / "out")
    assert facts["vocabulary"][3:] == ["bad", "dull", "great"]
    assert facts["most_frequent"] == 0


# The file format


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-8", "naïve \u0085 film"), ("windows-1252", "naïve … film"), ("iso-8859-1", "a\x85b")]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_line_feeds_end_lines_in_every_encoding(tmp_path, encoding, text, end):
    for name in FILES.values():
        write_lines(tmp_path / name, [(1, f"{name} {text}"), (0, f"bad {name}")], encoding, end)
    preprocess(tmp_path, tmp_path / "out", CLASSES, **FILES, encoding=encoding)
    assert pd.read_parquet(tmp_path / "out/test.parquet")["text"].tolist() == [f"test.txt {text}", "bad test.txt"]


GOOD = b"1 a fine film\n0 a bad film\n"


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"x a fine film\n", {}, "line 3: found 'x a fine film'. Expected the number of a class"),
        (b"1\n", {}, "line 3: found '1'. Expected"),
        (b"-1 a film\n", {}, "line 3: found '-1 a film'"),
        (b"1.0 a film\n", {}, "line 3: found '1.0 a film'"),
        ("١ a film\n".encode(), {}, "line 3: found"),
        (b"\n", {}, "line 3: found ''"),
        (b"1 \n", {}, "line 3: the sentence is empty"),
        (b"2 a film\n", {}, "line 3: the label is 2, but preprocess.classes has 2 names"),
        (b"1 caf\xe9\n", {}, "line 3: byte 0xe9 is not UTF-8"),
        (b"1 caf\x81\n", {"encoding": "windows-1252"}, "line 3: byte 0x81 is not windows-1252 text"),
        (b"1 a film\n", {"encoding": "utf-9"}, "The encoding is 'utf-9'; expected the name of an encoding"),
        (b"", {"encoding": "base64"}, "The encoding is 'base64'; expected the name of an encoding"),
        (b"1" * 5000 + b" a film\n", {}, "line 3: the label is 1111"),
        (b"1 a\0film\n", {}, "line 3: the text contains a NUL character"),
        (b"1 a\0film\n", {"encoding": "iso-8859-1"}, "line 3: the text contains a NUL character"),
        (
            b"1 " + b"word " * 100_000 + b"\n",
            {},
            "line 3: the sentence has 100,000 words; preprocess.max_words is 1,000",
        ),
        (b"", {"classes": ["a", "b", "c"]}, "The class 'c' (label 2) has no training sentence"),
        (b"", {"classes": ["a"]}, "expected at least two different names"),
        (b"", {"classes": ["a", "a"]}, "expected at least two different names"),
        (b"", {"train": "missing.txt"}, "missing.txt does not exist. Available files: dev.txt, test.txt, train.txt"),
        (b"", {"test": 0.0001}, "preprocess.test is 0.0001, which selects 0 of 2 sentences"),
    ],
)
def test_wrong_files_and_settings_are_refused_before_anything_is_written(tmp_path, content, settings, message):
    raw = tmp_path / "raw"
    for name in FILES.values():
        write_lines(raw / name, [(1, f"{name} fine"), (0, f"{name} bad")])
    (raw / "train.txt").write_bytes(GOOD + content)
    with pytest.raises(UserError) as caught:
        preprocess(raw, tmp_path / "out", **{"classes": CLASSES, **FILES, **settings})
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_class_that_occurs_only_in_the_validation_split_is_refused(tmp_path):
    write_lines(tmp_path / "train.txt", [(0, "dull"), (1, "great")])
    write_lines(tmp_path / "dev.txt", [(2, "so so")])
    write_lines(tmp_path / "test.txt", [(0, "bad")])
    with pytest.raises(UserError, match=r"The class 'neutral' \(label 2\) has no training .*occurs in: validation"):
        preprocess(tmp_path, tmp_path / "out", [*CLASSES, "neutral"], **FILES)


def test_sample_has_sentences_of_every_subject(tmp_path):
    make(tmp_path)
    labels = [int(line.partition(" ")[0]) for line in (tmp_path / "library.txt").read_text().splitlines()]
    assert all(labels.count(label) >= 200 for label in range(len(SUBJECTS)))
