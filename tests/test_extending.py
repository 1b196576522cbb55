"""Run the commands of docs/extending.md: a network of another package from the first check to the champion."""

import re
from pathlib import Path

import numpy as np
import pytest

from checkout import Checkout

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
DATASET = "sample_digits"
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def documented_commands() -> list[str]:
    """Return the two code blocks about a network, changed to use the sample digits instead of MNIST."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    changed = [block.replace("dataset: mnist,", f"dataset: {DATASET},") for block in blocks]
    for word in ("promote", "preprocess@"):
        changed = [re.sub(rf"{word}( ?)mnist", rf"{word}\1{DATASET}", block) for block in changed]
    return changed


def test_the_documented_commands_add_a_network_and_promote_it(tmp_path):
    checkout = Checkout(tmp_path / "project")
    add, check = documented_commands()
    checkout.do("bash", "-e", "-c", add)
    output = checkout.do("bash", "-e", "-c", check)
    assert "debug=smoke: trained 4 steps" in output and "debug=overfit: the network memorized one batch" in output
    assert "dvc.yaml does not list" not in output and f"Registered mnist-shapes as {DATASET} version 1" in output

    images = np.load(checkout / f"data/processed/{DATASET}/test_images.npy")[:3]
    np.save(checkout / "images.npy", images)
    predict = ("lectern", "predict", DATASET, "--input", "images.npy", "--output")
    checkout.do(*predict, "first.csv")
    checkout.edit("experiments.yaml", lambda variables: variables["experiments"].pop("other-digits"))
    assert checkout.stale() == {f"{stage}@demo-digits" for stage in ("train", "evaluate", "register")}

    source = checkout / "src/shapes/networks.py"
    source.write_text(source.read_text().replace("nn.ReLU()", "nn.Tanh()"))
    assert "train@mnist-shapes" in checkout.do("dvc", "status")
    code, output = checkout.run(*predict, "second.csv")
    assert code != 0 and "was registered with different code" in output and "no committed decision" in output, output
    checkout.git("add", "--force", f"registry/{DATASET}.jsonl")  # git ignores the registry files of sample data
    checkout.git("commit", "--quiet", "--message=Promote")
    checkout.do(*predict, "second.csv")
    assert (checkout / "second.csv").read_text() == (checkout / "first.csv").read_text()
    code, output = checkout.run("python", "pipelines/evaluate.py", "experiment=mnist-shapes", f"dataset={DATASET}")
    assert code == 1 and "models/mnist-shapes was trained with shapes.networks:SmallCNN (digest" in output, output
    assert "train again: dvc repro --single-item --force train@mnist-shapes" in output
