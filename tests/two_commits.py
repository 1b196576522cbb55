"""Create a project with two commits of an evaluated experiment, without training a model."""

import shutil
from pathlib import Path

from checkout import ROOT, Checkout

NAME = "sample_digits"
PROJECT = {
    "origins": [NAME],
    "datasets": {NAME: {"task": "digits", "origin": NAME}},
    "experiments": {"best": {"dataset": NAME, "task": "digits", "model": "digits_cnn"}},
}
OUTPUTS = ("models/{}", "reports/{}", "metrics/{}.json", "cards/{}.md")


def create_two_commits(folder: Path, raw: Path, outputs: Path) -> Checkout:
    """Return a project whose commits `old` and `new` contain different weights of the experiment `best`.

    The commit `old` contains the outputs of the experiment `weak`, and a different learning rate.
    """
    checkout = Checkout(folder, PROJECT)
    shutil.copytree(raw, checkout / f"data/raw/{NAME}")
    shutil.copytree(outputs / f"data/processed/{NAME}", checkout / f"data/processed/{NAME}")
    shutil.copytree(ROOT / "plots", checkout / "plots")
    checkout.do("lectern", "plots")
    for commit, source, learning_rate in (("old", "weak", 0.003), ("new", "best", 0.01)):
        use_outputs(checkout, outputs, source, learning_rate)
        checkout.do("dvc", "commit", "--force", "--quiet")
        checkout.git("add", ".")
        checkout.git("commit", "--quiet", f"--message=Add the {commit} outputs")
        checkout.git("tag", commit)
    return checkout


def use_outputs(checkout: Checkout, outputs: Path, source: str, learning_rate: float) -> None:
    """Replace the outputs of the experiment `best` by those of another experiment, and change the learning rate."""
    for pattern in OUTPUTS:
        target = checkout / pattern.format("best")
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        target.parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (outputs / pattern.format(source)).is_dir() else shutil.copy
        copy(outputs / pattern.format(source), target)
    checkout.edit("conf/model/digits_cnn.yaml", lambda model: model["module"].update(learning_rate=learning_rate))
