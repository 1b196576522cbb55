"""Test trainings that start from the weights of a trained model: first weights, resume, processes and records."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from children import KILLED
from lectern.artifacts.digests import file_digest
from lectern.training.checkpointing import AtomicCheckpointIO
from short_training import SHORT_TRAINING, client, list_runs, project, train, train_until

__all__ = ["client", "project"]  # imported because they are fixtures
pytestmark = pytest.mark.slow
SOURCE = "models/pretrained"
TUNED = (f"++model.init_from={SOURCE}", "out=models/tuned")
TINY_STEPS = "model.module.learning_rate=1e-12"  # the trained weights are the first weights


def weights(name: str) -> dict[str, torch.Tensor]:
    """Return the trained weights of a model folder, without the statistics of the normalization layers."""
    tensors = load_file(f"models/{name}/weights.safetensors")
    return {name: value for name, value in tensors.items() if "running" not in name and "num_batches" not in name}


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


@pytest.fixture
def pretrained(project) -> Path:
    ended = train(f"out={SOURCE}")
    assert ended.code == 0, ended.said
    return project


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_fine_tuning_starts_from_the_weights_of_its_source_and_records_them(pretrained, client):
    ended = train(*TUNED, TINY_STEPS)
    assert ended.code == 0 and "the training starts from the weights of models/pretrained (" in ended.said, ended.said
    assert_close(weights("pretrained"), weights("tuned"))
    digest = file_digest(Path(SOURCE, "weights.safetensors"))
    record = {"experiment": "pretrained", "weights": digest}
    assert json.loads(Path("models/tuned/module.json").read_text())["init_from"] == record
    assert "init_from" not in json.loads(Path(SOURCE, "module.json").read_text())
    tuned, pretrained = list_runs(client)
    assert tuned.data.tags["lectern.init_from"] == "pretrained" and tuned.data.params["init_from"] == SOURCE
    assert tuned.data.tags["lectern.init_from.weights"] == digest == pretrained.data.tags["lectern.weights"]
    assert not [key for key in {**pretrained.data.tags, **pretrained.data.params} if "init_from" in key]

    again = train("++model.init_from=models/tuned", "out=models/twice", TINY_STEPS)
    assert again.code == 0, again.said
    assert json.loads(Path("models/twice/module.json").read_text())["init_from"]["init_from"] == record


def test_a_killed_fine_tuning_resumes_without_its_source_to_the_same_bytes(pretrained):
    assert train(*TUNED).code == 0
    undisturbed = files("models/tuned")
    for path in Path("models/tuned").iterdir():
        path.unlink()
    ended = train_until(AtomicCheckpointIO, "save_checkpoint", 1, after=True, overrides=TUNED)
    assert ended.code == KILLED and "starts from the weights" in ended.said
    ended = train(*TUNED)
    assert ended.code == 0 and "starts from the weights" not in ended.said, ended.said
    assert files("models/tuned") == undisturbed


def test_two_processes_start_from_the_same_weights_as_one(pretrained):
    command = (sys.executable, "pipelines/train.py", *SHORT_TRAINING, TUNED[0], TINY_STEPS, "tracking=later")
    ended = subprocess.run([*command, "trainer=two_processes", "out=models/two"], capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stderr.count("starts from the weights") == 1, ended.stderr
    assert_close(weights("pretrained"), weights("two"))


def test_only_the_named_parts_of_the_source_are_copied(pretrained):
    parts = "{model:models/pretrained,parts:[network.stem,network.body]}"
    ended = train(f"++model.init_from={parts}", "out=models/tuned", TINY_STEPS)
    assert ended.code == 1 and "has no part 'network.stem'" in ended.said and "Available: " in ended.said, ended.said
    first = next(iter(weights("pretrained"))).rpartition(".")[0]
    ended = train(f"++model.init_from={{model:{SOURCE},parts:[{first}]}}", "out=models/tuned", TINY_STEPS)
    assert ended.code == 0, ended.said
    source, tuned = weights("pretrained"), weights("tuned")
    equal = {name for name in tuned if torch.allclose(source[name], tuned[name], atol=1e-6) and tuned[name].any()}
    assert equal and {name for name in equal if source[name].unique().numel() > 1} == {
        name for name in tuned if name.startswith(f"{first}.") and source[name].unique().numel() > 1
    }
