"""The language pairs of Multi30k, from a mirror to data sets, by the stages that a user types."""

import gzip
import hashlib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from children import Ended, in_child, run_stage, warm
from lectern.artifacts.dataset import read_facts

PAIRS = {"multi30k_en_de": ("en", "de"), "multi30k_en_fr": ("en", "fr"), "multi30k_de_en": ("de", "en")}
TESTS = ["test_2016_flickr", "test_2017_flickr", "test_2017_mscoco"]


def stage(name: str, *overrides: str) -> Ended:
    warm()
    return in_child(run_stage, name, *overrides)


@pytest.fixture
def corpus(house, tmp_path, monkeypatch) -> Path:
    """A checkout whose Multi30k is a few captions in a mirror, each file pinned by its digest as the real ones are."""
    config = house / "conf/origin/multi30k.yaml"
    origin = yaml.safe_load(config.read_text())
    mirror = tmp_path / "mirror"
    (mirror / "multi30k").mkdir(parents=True)
    for name in origin["files"]:
        data = gzip.compress(captions(name).encode(), mtime=0)
        (mirror / "multi30k" / name).write_bytes(data)
        origin["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    config.write_text(yaml.safe_dump(origin))
    monkeypatch.setenv("LECTERN_MIRROR", str(mirror))
    ended = stage("download", "origin=multi30k")
    assert ended.code == 0, ended.said
    return house


def captions(name: str) -> str:
    """Lines that tell their file and language: `train.en.gz` has `train 0 in en.`, and so on."""
    part, language, _ = name.split(".")
    return "".join(f"{part} {number} in {language}.\n" for number in range(40 if part == "train" else 3))


def test_each_pair_is_a_data_set_of_its_languages_with_three_tests(corpus):
    for name, (source, target) in PAIRS.items():
        ended = stage("preprocess", f"dataset={name}")
        assert ended.code == 0, ended.said
        processed = Path("data/processed") / name
        facts = read_facts(processed)
        assert facts["languages"] == {"source": source, "target": target}
        assert facts["items"] == {"train": 40, "validation": 3, "test": 3}
        train, tests = (pd.read_parquet(processed / f"{split}.parquet") for split in ("train", "test"))
        for side, language in (("source", source), ("target", target)):
            assert train[side].str.endswith(f"in {language}.").all()
        assert list(tests["test"].unique()) == TESTS and facts["scored_test"] == TESTS[0]


def test_a_language_that_is_not_there_is_answered_with_those_that_are(corpus):
    assert stage("preprocess", "dataset=multi30k_en_de").code == 0
    ended = stage("preprocess", "dataset=multi30k_en_de", "dataset.preprocess.target=es")
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "train.es.gz is not there. The languages of train.{language}.gz are: cs, de, en, fr" in ended.said
    assert read_facts(Path("data/processed/multi30k_en_de"))["languages"]["target"] == "de"  # it stands as it was


def test_a_pair_that_is_no_data_set_is_answered_with_those_that_are(house):
    ended = stage("preprocess", "dataset=multi30k_en_es")
    assert ended.code == 1 and "Traceback" not in ended.said
    assert all(name in ended.said for name in PAIRS)
