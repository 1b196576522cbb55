"""Test that `lectern add dataset` writes config files with which the download and preprocess stages succeed."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from children import KILLED, at_call, die, in_child, lectern, run_lectern
from download_server import MEMBERS, TEXT, archive_origin, tar_archive, zip_archive
from lectern.stages.experiments import read_experiments
from new_dataset_files import EXAMPLES, add, checkout, files, read_tree, run_stage_in_child

__all__ = ["checkout", "files"]  # imported because they are fixtures


def load(group: str, name: str) -> dict:
    return yaml.safe_load(Path("conf", group, f"{name}.yaml").read_text())


def write_example(name: str, parent: Path, raw_digits: Path) -> tuple[Path, list[str]]:
    """Write the files of an example. Return their folder and the arguments of the command."""
    task, write, more = EXAMPLES[name]
    folder = parent / name
    folder.mkdir(parents=True)
    write(folder, raw_digits)
    return folder, [name, task, *more]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_folder_of_each_task_is_downloaded_and_preprocessed(name, checkout, tmp_path, raw_digits):
    folder, arguments = write_example(name, tmp_path / "mirror", raw_digits)
    ended = add(*arguments, "--from", str(folder))
    assert ended.code == 0 and "???" not in ended.said, ended.said
    ended = run_stage_in_child("download", f"origin={name}", tmp_path / "mirror")
    assert ended.code == 0 and read_tree(Path("data/raw") / name) == read_tree(folder), ended.said
    ended = run_stage_in_child("preprocess", f"dataset={name}")
    assert ended.code == 0, ended.said
    items = json.loads(Path("data/processed", name, "facts.json").read_text())["items"]
    assert min(items[split] for split in ("train", "validation", "test")) > 0


def test_the_files_of_kannada_mnist_keep_their_names(checkout, tmp_path, raw_digits):
    folder, arguments = write_example("kannada", tmp_path, raw_digits)
    assert add(*arguments, "--from", str(folder)).code == 0
    preprocess = load("dataset", "kannada")["preprocess"]
    assert preprocess["train"] == ["X_kannada_MNIST_train-idx3-ubyte.gz", "y_kannada_MNIST_train-idx1-ubyte.gz"]
    assert preprocess["test"] == ["X_kannada_MNIST_test-idx3-ubyte.gz", "y_kannada_MNIST_test-idx1-ubyte.gz"]


def test_files_from_addresses_are_pinned_and_downloaded_again_with_equal_bytes(checkout, files):
    pages = {"/data/one two.txt": TEXT, "/data/part/b.txt": TEXT[:900]}
    files.pages = {path.replace(" ", "%20"): content for path, content in pages.items()}
    urls = [f"{files.address}{path}" for path in files.pages]
    ended = add("texts", "language_model", "--url", urls[0], "--url", urls[1])
    assert ended.code == 0 and set(files.requests.values()) == {1}, ended.said
    contents = {path.removeprefix("/data/"): content for path, content in pages.items()}
    assert load("origin", "texts") == {
        "name": "texts",
        "licence": "CC BY 4.0: the author",
        "urls": [f"{files.address}/data/"],
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        },
    }
    ended = run_stage_in_child("download", "origin=texts")
    assert ended.code == 0 and read_tree(Path("data/raw/texts")) == contents, ended.said


@pytest.mark.parametrize("pack", [zip_archive, tar_archive])
def test_an_archive_from_an_address_is_pinned_by_its_members(pack, checkout, files):
    members = {**MEMBERS, "IMG/left_1.jpg": b"left", "__MACOSX/._driving_log.csv": b"mac"}
    files.pages["/get"] = pack(members)
    selected = ["--members", "driving_log.csv", "--members", "IMG/center_*.jpg"]
    ended = add("drive", "steering", "--url", f"{files.address}/get?version=2", *selected)
    assert ended.code == 1  # the server has no page with a query
    ended = add("drive", "steering", "--url", f"{files.address}/get", *selected)
    assert ended.code == 0, ended.said
    expected = {**archive_origin([f"{files.address}/get"]), "licence": "CC BY 4.0: the author"}
    expected["archive"]["name"] = "get"
    assert load("origin", "drive") == expected
    assert load("dataset", "drive")["preprocess"]["reader"] == "udacity_sim"
    ended = run_stage_in_child("download", "origin=drive")
    assert ended.code == 0, ended.said


def test_the_printed_commands_put_an_archive_into_a_mirror(checkout, tmp_path, raw_digits):
    folder, arguments = write_example("tub", tmp_path / "recordings", raw_digits)
    archive = shutil.make_archive(str(tmp_path / "my tub"), "gztar", folder.parent, folder.name)
    ended = add(*arguments, "--from", archive)
    assert ended.code == 0 and load("origin", "tub")["archive"]["inside"] == "tub/", ended.said
    commands = re.findall(r"^  ((?:mkdir|export) .*)$", ended.said, re.MULTILINE)
    assert len(commands) == 2
    script = "\n".join([*commands, "echo $LECTERN_MIRROR"])
    mirror = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=True).stdout.strip()
    assert mirror == f"{tmp_path}/home/lectern-mirror"
    ended = run_stage_in_child("download", "origin=tub", Path(mirror))
    assert ended.code == 0, ended.said


def test_the_printed_lines_complete_experiments_yaml(checkout, tmp_path, raw_digits):
    folder, arguments = write_example("drive", tmp_path, raw_digits)
    printed = add("udacity", *arguments[1:], "--from", str(folder)).said
    lines = yaml.safe_load(printed.partition("experiments.yaml:\n\n")[2].partition("\nThen run")[0])
    assert lines["origins"] == ["udacity"]
    assert lines["datasets"] == {"udacity": {"task": "steering", "origin": "udacity"}}
    Path("experiments.yaml").write_text(yaml.safe_dump(lines))
    (experiment,) = read_experiments().values()
    assert f"dvc repro register@{experiment.name}" in printed and Path(f"conf/model/{experiment.model}.yaml").is_file()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train.de", "train.en", "val.de", "val.en", "test_a.de", "test_a.en", "test_b.de", "test_b.en"],
         {"source": "de", "target": "en", "train": "train.{language}", "validation": "val.{language}",
          "test": "test_a.{language}", "other_tests": ["test_b.{language}"]}),
        (["talks.de-en.de", "talks.de-en.en"], {"train": "talks.de-en.{language}", "validation": 0.1, "test": 0.1}),
        (["a.cs", "a.de", "a.en"], {"source": "???", "target": "???", "train": "a.{language}"}),
    ],
)  # fmt: skip
def test_parallel_files_are_recognized_by_their_names(names, expected, checkout, tmp_path):
    for name in names:
        (tmp_path / "talks" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "talks" / name).write_text("A sentence.\n")
    ended = add("talks", "translation", "--from", str(tmp_path / "talks"))
    assert ended.code == 0, ended.said
    preprocess = load("dataset", "talks")["preprocess"]
    assert {key: preprocess.get(key) for key in expected} == expected


def test_columns_with_sentence_numbers_are_skipped(checkout, tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"{n}\tHello {n}.\t{n + 7}\tSalut {n}.\n" for n in range(9)))
    assert add("pairs", "translation", "--from", str(tmp_path / "pairs.tsv")).code == 0
    preprocess = load("dataset", "pairs")["preprocess"]
    assert (preprocess["train"], preprocess["columns"], preprocess["key_column"]) == ("pairs.tsv", [1, 3], 1)


def test_the_score_follows_the_values_of_the_user(checkout, tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"Hello {n}.\tSalut {n}.\n" for n in range(9)))
    words = ["--from", str(tmp_path / "pairs.tsv"), "--set", "source=en"]
    for target, name, unit in (
        ("fr", "bleu", "lower-cased BLEU with sacreBLEU's tokenizer 13a, 0 to 100"),
        ("zh", "bleu", "lower-cased BLEU with sacreBLEU's tokenizer zh, 0 to 100"),
        ("zh", "chrf", "chrF, 0 to 100"),
    ):
        ended = add(
            "pairs", "translation", *words, "--overwrite", "--set", f"target={target}", "--set", f"score={name}"
        )
        assert ended.code == 0, ended.said
        assert load("dataset", "pairs")["score"] == {"name": name, "unit": unit, "higher_is_better": True}
    ended = add("log", "steering", "--from", str(tmp_path), "--set", "reader=deeptesla")
    assert ended.code == 0 and load("dataset", "log")["score"]["unit"] == "degrees of the steering wheel"


def test_a_value_that_is_not_certain_must_be_filled_in(checkout, tmp_path):
    for name in ("a.idx", "b.idx"):
        (tmp_path / name).write_bytes(b"\0")
    ended = add("unclear", "digits", "--from", str(tmp_path), "--members", "*.idx")
    assert ended.code == 0 and "replace ??? with the values of preprocess.train and preprocess.test" in ended.said
    ended = run_stage_in_child("preprocess", "dataset=unclear")
    assert ended.code == 1 and "Traceback" not in ended.said
    expected = "conf/dataset/unclear.yaml: replace ??? with a value for preprocess.test, preprocess.train."
    assert expected in ended.said


def test_file_names_that_look_like_other_yaml_values_are_kept(checkout, tmp_path):
    names = ["no", "1e5", "2024", "ab: c", "x,y", "# z", "0x1f", "null", "ü.txt"]
    for name in names:
        (tmp_path / "odd" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "odd" / name).write_text("text")
    assert add("odd", "language_model", "--from", str(tmp_path / "odd")).code == 0
    assert set(load("origin", "odd")["files"]) == set(names)
    ended = run_stage_in_child("download", "origin=odd", tmp_path)
    assert ended.code == 0 and set(os.listdir("data/raw/odd")) == set(names), ended.said


def test_overwrite_replaces_both_files(checkout, tmp_path, raw_digits):
    folder, arguments = write_example("poems", tmp_path, raw_digits)
    assert add(*arguments, "--from", str(folder)).code == 0
    ended = add(
        *arguments, "--from", str(folder), "--overwrite", "--set", "min_count=2", "--description", "Four poems."
    )
    assert ended.code == 0 and load("dataset", "poems")["preprocess"]["min_count"] == 2
    assert Path("conf/origin/poems.yaml").read_text().startswith("# Four poems.\n")


def test_a_killed_command_leaves_no_config_file(checkout, tmp_path, raw_digits):
    folder, arguments = write_example("poems", tmp_path, raw_digits)
    before = read_tree(Path("conf"))

    def run_and_die() -> None:
        at_call(os, "replace", 1, die)
        run_lectern("add", "dataset", arguments[0], "--task", arguments[1], "--licence", "x", "--from", str(folder))

    lectern("--help")  # import the command before the fork
    assert in_child(run_and_die).code == KILLED
    visible = {name: content for name, content in read_tree(Path("conf")).items() if "/." not in name}
    assert visible == before
    assert add(*arguments, "--from", str(folder)).code == 0
    assert not [name for name in read_tree(checkout) if name.endswith(".part")]
