"""Test that each language pair of Multi30k becomes a dataset, with the stages that a user runs."""

import gzip
import hashlib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from children import Ended, in_child, run_stage, warm
from lectern.artifacts.dataset import read_facts

LANGUAGES = {"multi30k_en_de": ("en", "de"), "multi30k_en_fr": ("en", "fr"), "multi30k_de_en": ("de", "en")}
TESTS = ["test_2016_flickr", "test_2017_flickr", "test_2017_mscoco"]


def run(name: str, *overrides: str) -> Ended:
    warm()
    return in_child(run_stage, name, *overrides)


@pytest.fixture
def project_with_captions(project, tmp_path, monkeypatch) -> Path:
    """Return a project that uses a few captions as Multi30k.

    The captions come from a mirror, and the digests match the captions.
    """
    config = project / "conf/origin/multi30k.yaml"
    origin = yaml.safe_load(config.read_text())
    mirror = tmp_path / "mirror"
    (mirror / "multi30k").mkdir(parents=True)
    for name in origin["files"]:
        data = gzip.compress(make_captions(name).encode(), mtime=0)
        (mirror / "multi30k" / name).write_bytes(data)
        origin["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    config.write_text(yaml.safe_dump(origin))
    monkeypatch.setenv("LECTERN_MIRROR", str(mirror))
    ended = run("download", "origin=multi30k")
    assert ended.code == 0, ended.said
    return project


def make_captions(file_name: str) -> str:
    """Return lines that name their file and language, such as `train 0 in en.` for `train.en.gz`."""
    split, language, _ = file_name.split(".")
    return "".join(f"{split} {number} in {language}.\n" for number in range(40 if split == "train" else 3))


@pytest.mark.slow
def test_each_language_pair_becomes_a_dataset_with_three_tests(project_with_captions):
    for name, (source, target) in LANGUAGES.items():
        ended = run("preprocess", f"dataset={name}")
        assert ended.code == 0, ended.said
        processed = Path("data/processed") / name
        facts = read_facts(processed)
        assert facts["languages"] == {"source": source, "target": target}
        assert facts["items"] == {"train": 40, "validation": 3, "test": 3}
        train, tests = (pd.read_parquet(processed / f"{split}.parquet") for split in ("train", "test"))
        for side, language in (("source", source), ("target", target)):
            assert train[side].str.endswith(f"in {language}.").all()
        assert list(tests["test"].unique()) == TESTS and facts["scored_test"] == TESTS[0]


@pytest.mark.slow
def test_a_missing_language_is_reported_with_the_available_languages(project_with_captions):
    assert run("preprocess", "dataset=multi30k_en_de").code == 0
    ended = run("preprocess", "dataset=multi30k_en_de", "dataset.preprocess.target=es")
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "train.es.gz does not exist. train.{language}.gz exists for: cs, de, en, fr." in ended.said
    # The dataset of the earlier, successful stage has not changed.
    assert read_facts(Path("data/processed/multi30k_en_de"))["languages"]["target"] == "de"


def test_an_unknown_dataset_is_reported_with_the_available_datasets(project):
    ended = run("preprocess", "dataset=multi30k_en_es")
    assert ended.code == 1 and "Traceback" not in ended.said
    assert all(name in ended.said for name in LANGUAGES)
