"""Compare classifiers of sst2 that start from random, pre-trained or partly pre-trained weights.

    dvc repro pre_train@masked-words pre_train@word-language-model
    python bench/pre_training.py results.csv docs/pictures/pre-training.png

Trains each kind of start with 100, 500, 2,000 and all labels and five seeds, which takes about an hour. Each seed
selects other sentences. Writes the accuracy on the validation split after the last epoch to results.csv, prints the
mean and the standard deviation, and draws them. Trainings that results.csv already contains are not repeated.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from lectern.plotting import saved_figure

RECIPES = {  # maps a number of labels to a batch size and a number of epochs; 0 means all labels
    100: {"batch_size": 10, "epochs": 15},
    500: {"batch_size": 25, "epochs": 10},
    2000: {"batch_size": 50, "epochs": 8},
    0: {"batch_size": 50, "epochs": 5},
}
SEEDS, PROCESSES = range(5), 2  # seeds per start and number of labels, and number of simultaneous trainings
STARTS = {
    "random weights": ["model=sentence_lstm"],
    "word vectors of a language model": [
        "model=sentence_lstm_tuned",
        "model.init_from.model=models/word-language-model",
        "model.init_from.parts=[network.embedding]",
    ],
    "word vectors and LSTM of masked words": ["model=sentence_lstm_tuned"],
}
COLUMNS = ["start", "labels", "seed", "accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="a CSV file, which is created or completed")
    parser.add_argument("picture", type=Path, help="a PNG file")
    arguments = parser.parse_args()
    finished = read_results(arguments.results)
    results = finished
    with ThreadPoolExecutor(PROCESSES) as pool:
        trainings = itertools.product(SEEDS, RECIPES, STARTS)
        for row in pool.map(lambda training: measure(finished, *training), trainings):
            results = pd.concat([results, row]).drop_duplicates(COLUMNS[:3])
            results.to_csv(arguments.results, index=False)
    table = summarize(results)
    text = table.map(lambda value: f"{value:.1f}")
    print((text["mean"] + " ± " + text["sd"]).to_markdown())
    draw(table, arguments.picture)


def read_results(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def measure(finished: pd.DataFrame, seed: int, labels: int, start: str) -> pd.DataFrame:
    """Return the finished row of a training. If the row is missing, train the classifier."""
    row = finished[(finished["seed"] == seed) & (finished["labels"] == labels) & (finished["start"] == start)]
    return row if len(row) else pd.DataFrame([[start, labels, seed, train(start, labels, seed)]], columns=COLUMNS)


def train(start: str, labels: int, seed: int) -> float:
    """Train a classifier and return its accuracy on the validation split after the last epoch."""
    recipe = RECIPES[labels]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "model")
        overrides = [f"model.fit.laptop.epochs={recipe['epochs']}", f"model.batches.batch_size={recipe['batch_size']}"]
        overrides += [f"+model.batches.labels={labels}"] if labels else []
        overrides += [f"seed={seed}", f"out={out}", "trainer.threads=1", *STARTS[start]]
        command = [sys.executable, "pipelines/train.py", "dataset=sst2", *overrides]
        subprocess.run(command, check=True, env={**os.environ, "TRACKING": "later"}, stderr=subprocess.DEVNULL)
        history = pd.read_csv(out / "history.csv")
    return float(history[history["name"] == "validation_accuracy"]["value"].iloc[-1])


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and the standard deviation over the seeds in percent, with one row per start."""
    count = len(pd.read_parquet("data/processed/sst2/train.parquet", columns=["label"]))
    results = results.replace({"labels": {0: count}})
    scores = (100 * results.set_index(["start", "labels"])["accuracy"]).groupby(level=[0, 1], sort=True)
    return pd.DataFrame({"mean": scores.mean(), "sd": scores.std()}).unstack("labels").loc[list(STARTS)]


def draw(table: pd.DataFrame, path: Path) -> None:
    with saved_figure(path) as (_, axis):
        for start in table.index:
            axis.errorbar(
                table["mean"].columns,
                table["mean"].loc[start],
                table["sd"].loc[start],
                marker="o",
                capsize=3,
                label=start,
            )
        axis.set(xlabel="labelled sentences of sst2", ylabel="validation accuracy in percent", xscale="log")
        axis.set_xticks(table["mean"].columns, [f"{count:,}" for count in table["mean"].columns])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(title="start of the training")


if __name__ == "__main__":
    main()
