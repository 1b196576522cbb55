"""Score a sentence classifier on the test sentences, and write the report."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.dataset import read_facts
from lectern.atomic import write_json
from lectern.classification.metrics import (
    compute_class_metrics,
    score,
    score_sums,
    statistics,
    summarize,
    tabulate_predictions,
)
from lectern.classification.plots import draw_calibration, draw_confusion, tabulate_calibration
from lectern.tasks.sentences.data.format.sentences import prepare, split_sentences
from lectern.tasks.sentences.model.module import SentenceClassifier
from lectern.tasks.sentences.report import plots
from lectern.tasks.sentences.report.baseline import score_baseline
from lectern.tasks.sentences.report.reference import score_reference
from lectern.tasks.sentences.report.robustness import tabulate_robustness
from lectern.tasks.sentences.report.slices import confidence_interval, describe_sentences, tabulate_slices
from lectern.tasks.sentences.report.word_vectors import project_words, tabulate_neighbours

MISTAKES = 50  # number of listed mistakes
__all__ = ["evaluate", "measure", "score", "score_sums", "statistics"]


def evaluate(module: SentenceClassifier, processed: Path, out: Path) -> dict[str, float]:
    """Score the model on the test sentences, write the report to the folder `out`, and return the metrics.

    `ngram_accuracy` is the accuracy of the reference model of `reference.py`.
    """
    facts = read_facts(processed)
    test = pd.read_parquet(processed / "test.parquet")
    probabilities = predict_texts(module, test["text"].tolist())
    items = tabulate_items(test, probabilities, module)
    class_metrics = compute_class_metrics(probabilities, test["label"].to_numpy())
    reference = score_reference(processed)
    low, high = confidence_interval(items["correct"].to_numpy())
    details = {"score_interval": {"low": low, "high": high}, "ngram_accuracy": reference, "counts": facts["counts"]}
    write_json(out / "details.json", {**class_metrics, **details})
    slices = tabulate_slices(items)
    write_csv(slices, out / "slices.csv")
    plots.draw_slices(slices, score_baseline(processed), out / "slices.png")
    write_tables(items, test, facts["classes"], out)
    write_csv(tabulate_robustness(module, test["text"].tolist(), test["label"].to_numpy()), out / "robustness.csv")
    write_csv(tabulate_neighbours(module.embeddings()), out / "nearest_words.csv")
    draw_plots(module, items, test, out)
    return {**summarize(items, class_metrics), "ngram_accuracy": reference}


def measure(module: SentenceClassifier, processed: Path) -> pd.DataFrame:
    """Return a table with one row per test sentence for the promotion gate. No report is written."""
    test = pd.read_parquet(processed / "test.parquet")
    return tabulate_items(test, predict_texts(module, test["text"].tolist()), module)


def predict_texts(module: SentenceClassifier, texts: list[str]) -> np.ndarray:
    """Return the probabilities, float32 (n, classes), of raw sentences."""
    return module.predict(prepare(texts, module.facts))


def tabulate_items(test: pd.DataFrame, probabilities: np.ndarray, module: SentenceClassifier) -> pd.DataFrame:
    """Return a table with one row per test sentence: the prediction, and properties of the sentence."""
    properties = describe_sentences(test["text"].tolist(), module.facts)
    return tabulate_predictions(probabilities, test["label"].to_numpy()).join(properties)


def write_tables(items: pd.DataFrame, test: pd.DataFrame, classes: list[str], out: Path) -> None:
    """Write the tables of the items, the mistakes with the highest confidence, and the calibration."""
    items.to_parquet(out / "items.parquet", index=False)
    names = items.assign(**{column: items[column].map(lambda number: classes[number]) for column in
                            ("label", "prediction")})  # fmt: skip
    write_csv(names[["label", "prediction"]], out / "confusion.csv")
    mistakes = names[~items["correct"]].nlargest(MISTAKES, "confidence")
    columns = mistakes[["label", "prediction", "confidence"]].round({"confidence": 4})
    write_csv(columns.assign(text=test["text"].loc[mistakes.index]), out / "mistakes.csv")
    write_csv(tabulate_calibration(items), out / "calibration.csv")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def draw_plots(module: SentenceClassifier, items: pd.DataFrame, test: pd.DataFrame, out: Path) -> None:
    """Draw the plots of the report."""
    draw_confusion(items, module.facts["classes"], "sentences", out / "confusion.png")
    draw_calibration(items, out / "calibration.png")
    plots.draw_word_map(project_words(module.embeddings()), out / "word_map.png")
    draw_attention(module, items, test, out / "attention.png")


def draw_attention(
    module: SentenceClassifier, items: pd.DataFrame, test: pd.DataFrame, path: Path, sentences: int = 6
) -> None:
    """Draw the attention weights of a few test sentences of medium length. Other networks get no picture."""
    medium = items[items["words"].between(8, 24)]
    chosen = medium.iloc[np.linspace(0, len(medium) - 1, min(sentences, len(medium))).astype(int)]
    classes, drawable = module.facts["classes"], []
    for row in chosen.itertuples():
        text = test["text"].iloc[row.item]
        weights = module.attention(prepare([text], module.facts)[0])
        if weights is not None:
            title = f"{classes[row.prediction]} ({row.confidence:.0%}); true class: {classes[row.label]}"
            drawable.append((title, split_sentences([text], module.facts)[0], weights))
    if drawable:
        plots.draw_attention(drawable, path)
