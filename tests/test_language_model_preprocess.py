"""Claims on how raw works become three texts and an alphabet."""

import json
import unicodedata

import numpy as np
import pytest

from language_model_texts import BY_NAME, WORKS, make_processed, write_works
from lectern.errors import UserError
from lectern.tasks.language_model.data import samples
from lectern.tasks.language_model.data.format.alphabet import UNKNOWN_ID, decode, encode, find_unknown_characters
from lectern.tasks.language_model.data.preprocess import preprocess, read_works, split_works

WAYS = [("name", ["three.txt"], ["four.txt"]), ("place", 0.2, 0.1), ("hash", 0.3, 0.3)]


@pytest.mark.parametrize(("by", "validation", "test"), WAYS)
def test_every_character_is_in_exactly_one_split(by, validation, test):
    works = {f"{name}-{copy}": f"{copy}{text}" for copy in range(5) for name, text in WORKS.items()}
    if by == "name":
        validation, test = ["three.txt-0"], ["four.txt-0", "four.txt-1"]
    texts = split_works(works, by, validation, test)
    assert sorted("".join(texts.values())) == sorted("".join(works.values()))


def test_a_named_work_is_whole_and_never_trained_on(tmp_path):
    processed, facts = make_processed(tmp_path)
    train = decode(np.load(processed / "train.npy"), facts)
    assert train == WORKS["one.txt"] + WORKS["two.txt"]
    assert np.array_equal(np.load(processed / "validation.npy"), encode(WORKS["three.txt"], facts))
    assert (processed / "test.txt").read_text() == WORKS["four.txt"]


def test_the_test_text_is_the_end_where_it_is_split_by_place(tmp_path):
    texts = split_works({"all": "abcdefghij"}, "place", 0.2, 0.1)
    assert texts == {"train": "abcdefg", "validation": "hi", "test": "j"}


def test_a_work_stays_on_its_side_when_another_comes():
    before = split_works({name: name for name in "abcdefghijklmnop"}, "hash", 0.3, 0.3)
    after = split_works({name: name for name in "abcdefghijklmnopqr"}, "hash", 0.3, 0.3)
    assert all(set(before[split]) <= set(after[split]) for split in before)


def test_the_alphabet_is_of_the_training_works_alone(tmp_path):
    _, facts = make_processed(tmp_path)
    assert set(facts["alphabet"]) == set(WORKS["one.txt"] + WORKS["two.txt"])
    assert "[" not in facts["alphabet"]  # only the test work has it


def test_rare_characters_are_unknown(tmp_path):
    processed, facts = make_processed(tmp_path, rare=2)
    assert "?" not in facts["alphabet"]  # once in the training works
    assert (np.load(processed / "train.npy") == UNKNOWN_ID).any()


def test_ids_and_text_go_there_and_back():
    facts = {"alphabet": "\n abc", "prepare": {"normal_form": "NFC"}}
    assert decode(encode("a cab\nb", facts), facts) == "a cab\nb"
    assert encode("a]b", facts)[1] == UNKNOWN_ID
    assert len(encode("", facts)) == 0


def test_one_way_to_write_a_line_end_and_an_accent():
    facts = {"alphabet": "\né", "prepare": {"normal_form": "NFC"}}
    apart = unicodedata.normalize("NFD", "é")
    assert encode(f"{apart}\r\n{apart}\r", facts).tolist() == [2, 1, 2, 1]
    assert find_unknown_characters(f"{apart}#\r\n", facts) == ["#"]


def test_preprocessing_twice_gives_the_same_facts(tmp_path):
    assert make_processed(tmp_path / "a")[1] == make_processed(tmp_path / "b")[1]


def test_a_folder_without_text_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="dvc repro download@"):
        read_works(tmp_path)


def test_an_empty_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing.txt is empty"):
        read_works(write_works(tmp_path, {"nothing.txt": " \n"}))


def test_undecodable_bytes_are_told_with_file_and_offset(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 noir")
    with pytest.raises(UserError, match="latin.txt is no UTF-8 text: byte 0xe9 at offset 3"):
        read_works(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": ["five.txt"]}, "No work is called five.txt. There is: four.txt"),
        ({"validation": 0.1}, "names of works"),
        ({"split_by": "place"}, "shares"),
        ({"split_by": "place", "validation": 0.5, "test": 0.6}, "below 1"),
        ({"split_by": "chance"}, "one of name, place, hash"),
        ({"validation": []}, "validation text would be empty"),
    ],
)
def test_an_impossible_split_is_refused(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        preprocess(write_works(tmp_path / "raw"), tmp_path / "out", **{**BY_NAME, **arguments})


def test_the_sample_is_python_code_of_at_most_the_asked_size(tmp_path):
    found = samples.make(tmp_path, 50_000)
    works = read_works(tmp_path)
    assert found["python"].startswith("3.")
    assert 20_000 < sum(map(len, works.values())) <= 50_000 + 200 * len(works)
    assert all(text.startswith(f"# {name}\n") for name, text in works.items())


def test_the_sample_is_the_same_twice(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        samples.make(tmp_path / folder, 20_000)
    assert (tmp_path / "a/library.jsonl").read_bytes() == (tmp_path / "b/library.jsonl").read_bytes()
    assert json.loads((tmp_path / "a/library.jsonl").read_text().splitlines()[0])["name"].endswith(".py")
