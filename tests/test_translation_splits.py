"""Test splits of sentence pairs by number, share and key, and the choice of columns and languages."""

import pytest

from lectern.errors import UserError
from lectern.tasks.translation.data.corpus import SIDES, CorpusFiles, read_corpus, read_pairs
from lectern.tasks.translation.data.preprocess import preprocess
from test_translation_data import LANGUAGES


def test_hold_out_takes_the_given_number_of_pairs_and_loses_none(tmp_path):
    (tmp_path / "all.tsv").write_text("".join(f"word {n}\tWort {n}\n" for n in range(20)))
    corpus = read_corpus(CorpusFiles(tmp_path, LANGUAGES), "all.tsv", 5, "all.tsv")
    assert len(corpus.validation) == 5 and len(corpus.train) == 15
    assert {*corpus.train["source"], *corpus.validation["source"]} == {f"word {n}" for n in range(20)}
    with pytest.raises(UserError, match="preprocess.validation is 20, which selects 20 of 20 pairs"):
        read_corpus(CorpusFiles(tmp_path, LANGUAGES), "all.tsv", 20, "all.tsv")


def test_one_file_becomes_three_splits_and_the_test_split_has_no_incomplete_pair(tmp_path):
    lines = [f"word {n}\tWort {n}\n" for n in range(40)] + ["only a source\t\n"] * 20
    (tmp_path / "all.tsv").write_text("".join(lines))
    corpus = read_corpus(CorpusFiles(tmp_path, LANGUAGES), "all.tsv", 0.25, 0.5)
    sources = [*corpus.train["source"], *corpus.validation["source"], *corpus.tests["test"]["source"]]
    assert sorted(sources) == sorted(f"word {n}" for n in range(40))
    assert (len(corpus.train), len(corpus.validation), len(corpus.tests["test"])) == (15, 5, 20)


def test_pairs_with_the_same_key_are_in_the_same_split(tmp_path):
    lines = [f"word {n}\tWort {n}\tauthor {n % 9}\n" for n in range(60)]
    (tmp_path / "all.tsv").write_text("".join(lines))
    corpus = read_corpus(CorpusFiles(tmp_path, LANGUAGES, key_column=2), "all.tsv", 10, 0.3)
    splits = [corpus.train, corpus.validation, corpus.tests["test"]]
    authors = [{int(source.split()[1]) % 9 for source in pairs["source"]} for pairs in splits]
    assert all(authors) and sum(map(len, authors)) == 9 and list(corpus.train.columns) == SIDES
    assert len(corpus.validation) >= 10 and len(corpus.tests["test"]) >= 18 and sum(map(len, splits)) == 60


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({"columns": (1, 1)}, "x.tsv", r"preprocess.columns is \[1, 1\]; expected two different columns"),
        ({"key_column": 5}, "x.tsv", r"selects the columns \[0, 1, 5\]"),
        ({"key_column": 2}, "x.{language}", "has no columns"),
    ],
)
def test_columns_that_cannot_be_read_are_rejected(tmp_path, files, name, message):
    (tmp_path / "x.tsv").write_text("a\tb\tc\n")
    with pytest.raises(UserError, match=message):
        read_pairs(CorpusFiles(tmp_path, LANGUAGES, **files), name)


def test_equal_languages_are_rejected(tmp_path):
    with pytest.raises(UserError, match="source and preprocess.target are both 'en'; expected two different languages"):
        preprocess(tmp_path, tmp_path / "out", "en", "en", "train.tsv", 10, 10, vocabulary_size=50, max_length=20)
