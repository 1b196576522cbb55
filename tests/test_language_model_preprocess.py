"""Test how works are split and encoded, and the errors for invalid works and splits."""

import json
import unicodedata

import numpy as np
import pytest

from language_model_texts import BY_NAME, WORKS, make_processed, write_works
from lectern.errors import UserError
from lectern.tasks.language_model.data import samples
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN_ID, decode, encode, find_unknown_characters
from lectern.tasks.language_model.data.preprocess import preprocess, read_works
from lectern.tasks.language_model.data.splits import split_works

SPLITS = [("name", ["three.txt-0"], ["four.txt-0", "four.txt-1"]), ("position", 0.2, 0.1), ("hash", 0.3, 0.3)]


@pytest.mark.parametrize(("split_by", "validation", "test"), SPLITS)
def test_each_character_is_in_exactly_one_split(split_by, validation, test):
    works = {f"{name}-{copy}": f"{copy}{text}" for copy in range(5) for name, text in WORKS.items()}
    splits = split_works(works, split_by, validation, test)
    assert sorted("".join(text for split in splits.values() for text in split.values())) == sorted(
        "".join(works.values())
    )


def test_named_works_are_complete_and_not_in_the_training_text(tmp_path):
    processed, facts = make_processed(tmp_path)
    train = decode(np.load(processed / "train.npy"), facts)
    assert train == WORKS["one.txt"] + WORKS["two.txt"]
    assert np.array_equal(np.load(processed / "validation.npy"), encode(WORKS["three.txt"], facts))
    assert (processed / "test.txt").read_text() == WORKS["four.txt"]


def test_split_by_position_takes_the_test_text_from_the_end():
    splits = split_works({"all": "abcdefghij"}, "position", 0.2, 0.1)
    assert splits == {"train": {"all": "abcdefg"}, "validation": {"all": "hi"}, "test": {"all": "j"}}


def test_split_by_hash_keeps_works_in_their_split_if_others_are_added():
    before = split_works({name: name for name in "abcdefghijklmnop"}, "hash", 0.3, 0.3)
    after = split_works({name: name for name in "abcdefghijklmnopqr"}, "hash", 0.3, 0.3)
    assert all(set(before[split]) <= set(after[split]) for split in before)


def test_a_number_of_works_or_of_characters_is_held_out():
    works = {name: name * 10 for name in "abcdefgh"}
    by_hash = split_works(works, "hash", 2, 3)
    assert {split: len(parts) for split, parts in by_hash.items()} == {"train": 3, "validation": 2, "test": 3}
    by_position = split_works({"all": "abcdefghij"}, "position", 3, 2)
    assert by_position == {"train": {"all": "abcde"}, "validation": {"all": "fgh"}, "test": {"all": "ij"}}


def test_works_with_equal_text_are_never_in_different_splits():
    works = {f"{name}-{copy}": name * 10 for name in "abcdefghijklmnop" for copy in range(3)}
    splits = split_works(works, "hash", 0.3, 0.3)
    texts = [set(parts.values()) for parts in splits.values()]
    assert all(texts) and sum(map(len, texts)) == 16
    with pytest.raises(UserError, match=r"The works a-1 \(train\) and a-0 \(test\) have equal text"):
        split_works(works, "name", ["b-0", "b-1", "b-2"], ["a-0"])


def test_alphabet_contains_only_characters_of_the_training_text(tmp_path):
    _, facts = make_processed(tmp_path)
    assert set(facts["alphabet"]) == set(WORKS["one.txt"] + WORKS["two.txt"])
    assert "[" not in facts["alphabet"]  # The character [ occurs only in the test text.


def test_characters_below_the_minimum_count_are_unknown(tmp_path):
    processed, facts = make_processed(tmp_path, min_count=2)
    assert "?" not in facts["alphabet"]  # The character ? occurs only once in the training text.
    assert (np.load(processed / "train.npy") == UNKNOWN_ID).any()


def test_decoding_encoded_text_gives_the_text():
    facts = {"alphabet": "\n abc", "prepare": {"normal_form": "NFC"}}
    assert decode(encode("a cab\nb", facts), facts) == "a cab\nb"
    assert encode("a]b", facts)[1] == UNKNOWN_ID
    assert len(encode("", facts)) == 0


def test_all_forms_of_line_endings_and_accents_give_the_same_ids():
    facts = {"alphabet": "\né", "prepare": {"normal_form": "NFC"}}
    decomposed = unicodedata.normalize("NFD", "é")
    assert encode(f"{decomposed}\r\n{decomposed}\r", facts).tolist() == [2, 1, 2, 1]
    assert find_unknown_characters(f"{decomposed}#\r\n", facts) == ["#"]


def test_preprocessing_twice_gives_the_same_facts(tmp_path):
    assert make_processed(tmp_path / "a")[1] == make_processed(tmp_path / "b")[1]


def test_error_for_a_folder_without_text_names_the_command_to_run(tmp_path):
    with pytest.raises(UserError, match="dvc repro download@"):
        read_works(tmp_path)


def test_error_names_the_empty_file(tmp_path):
    with pytest.raises(UserError, match="nothing.txt is empty"):
        read_works(write_works(tmp_path, {"nothing.txt": " \n"}))


def test_error_for_invalid_utf8_names_the_file_and_the_offset(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 noir")
    with pytest.raises(UserError, match="latin.txt, line 1: byte 0xe9 is not UTF-8 text"):
        read_works(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": ["five.txt"]}, "no work named five.txt. Available works: four.txt"),
        ({"validation": 0.1}, "expected two lists of work names with split_by=name"),
        ({"split_by": "position"}, "two numbers or shares with split_by=position"),
        ({"split_by": "position", "validation": 0.5, "test": 0.6}, "expected shares with a sum below 1"),
        ({"split_by": "hash", "validation": 0.1, "test": 4}, "preprocess.test is 4, which selects 4 of 4 works"),
        ({"split_by": "position", "validation": 9, "test": 500}, "four.txt: preprocess.test is 500, which selects 500"),
        ({"min_count": 1000}, "no character occurs 1,000 times"),
        ({"validation": []}, "validation text is empty"),
    ],
)
def test_impossible_split_is_an_error(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        preprocess(write_works(tmp_path / "raw"), tmp_path / "out", **{**BY_NAME, **arguments})


def test_sample_is_python_code_of_at_most_the_given_size(tmp_path):
    versions = samples.make(tmp_path, 50_000)
    works = read_works(tmp_path)
    assert versions["python"].startswith("3.")
    # Each work starts with its name, which adds at most 200 characters.
    assert 20_000 < sum(map(len, works.values())) <= 50_000 + 200 * len(works)
    assert all(text.startswith(f"# {name}\n") for name, text in works.items())


def test_making_the_sample_twice_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        samples.make(tmp_path / folder, 20_000)
    assert (tmp_path / "a/library.jsonl").read_bytes() == (tmp_path / "b/library.jsonl").read_bytes()
    assert json.loads((tmp_path / "a/library.jsonl").read_text().splitlines()[0])["name"].endswith(".py")
