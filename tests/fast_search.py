"""Replace the train script, so that the trainings of a search end at once."""

from pathlib import Path

import pytest
import yaml

from checkout import write_experiments
from lectern.sweeps import trial_loop
from lectern.sweeps.search import Outcome, Search
from lectern.sweeps.trial_loop import Limits

OVERRIDES = ["dataset=sample_digits", "model=digits_cnn", "seed=7", "budget=laptop"]
MODEL = Path("conf/model/digits_cnn.yaml")
# The accuracy of a training is best for a learning rate of 0.002. A test can insert lines of code for a fault.
TRAIN_SCRIPT = """
import os, sys
from pathlib import Path
overrides = dict(word.split("=", 1) for word in sys.argv[1:])
rate, seed = float(overrides["model.module.learning_rate"]), int(overrides["seed"])
out, accuracy, metric = Path(overrides["out"]), 1 - abs(rate - 0.002), "validation_accuracy"
print(rate, seed, file=open("trainings.txt", "a"))
# fault
out.mkdir()
lines = [f"{step},0,{metric},{value}" for step, value in ((1, 0.5), (2, accuracy), (3, 0.4))]
(out / "history.csv").write_text("\\n".join(["step,epoch,name,value", *lines]))
"""


def prepare_fast_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the experiment demo-digits and replace the train script."""
    insert_fault("")
    variables = yaml.safe_load((project / "experiments.yaml").read_text())
    variables["experiments"]["demo-digits"] = {"dataset": "sample_digits", "task": "digits", "model": "digits_cnn"}
    write_experiments(project / "experiments.yaml", variables)
    monkeypatch.setattr(trial_loop, "POLL_SECONDS", 0.02)


def insert_fault(lines: str) -> None:
    """Insert lines of code into the train script, before the script writes its result."""
    Path("pipelines/train.py").write_text(TRAIN_SCRIPT.replace("# fault", lines))


def run_search(trials: int, parallel: int = 2, seeds: int = 2) -> tuple[Outcome, list[str]]:
    """Return the outcome of a search and the lines that are reported to the user."""
    lines: list[str] = []
    outcome = Search("demo-digits", OVERRIDES).run(Limits(trials, parallel, seeds=seeds), lines.append)
    return outcome, lines


def read_trainings() -> list[tuple[float, int]]:
    """Return the learning rate and the seed of each started training."""
    rows = [line.split() for line in Path("trainings.txt").read_text().splitlines()]
    return [(float(rate), int(seed)) for rate, seed in rows]
