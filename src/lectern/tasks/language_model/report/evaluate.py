"""Score a character model on the test text and write the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lectern.artifacts.history_file import TextSample
from lectern.atomic import write_json
from lectern.tasks.language_model.data.format.alphabet import decode, encode
from lectern.tasks.language_model.model.generation import generate_texts
from lectern.tasks.language_model.report import plots
from lectern.tasks.language_model.report.baseline import compute_baseline_nats, read_test_text
from lectern.tasks.language_model.report.character_classes import compute_class_losses
from lectern.tasks.language_model.report.context_length import loss_after_reset, loss_by_bracket_distance
from lectern.tasks.language_model.report.copying import compare_copying, format_copying
from lectern.tasks.language_model.report.scoring import score_text

if TYPE_CHECKING:
    from lectern.tasks.language_model.model.module import CharacterModel

COPYING_SAMPLES = (10, 1000)  # number of generated texts that are checked for copies, and their length


def evaluate(module: "CharacterModel", processed: Path, out: Path) -> dict[str, float]:
    """Score the model on the test text, write the report to the folder `out`, and return the metrics.

    The network reads the test text once from start to end.
    """
    ids = encode(read_test_text(processed), module.facts)
    text = decode(ids, module.facts)
    nats, hits = score_text(module, ids)
    items = tabulate_lines(text, nats, hits, read_first_lines(processed))
    items.to_parquet(out / "items.parquet", index=False)

    samples = generate_texts(module, np.zeros((COPYING_SAMPLES[0], 0), np.uint16), COPYING_SAMPLES[1])
    sample_ids = [encode(sample, module.facts) for sample in samples]
    copying = compare_copying(sample_ids, ids, np.load(processed / "train.npy"), module.facts)
    details: dict[str, Any] = {
        "by_class": compute_class_losses(text, nats, compute_baseline_nats(processed, ids)),
        "loss_after_reset": loss_after_reset(module, ids, nats),
        "loss_by_bracket_distance": loss_by_bracket_distance(text, nats),
        "validation": score_validation_text(module, processed),
        "copying": copying,
        "perplexity": float(np.exp(score(items))),
    }
    write_json(out / "details.json", details)
    plots.draw_class_losses(details["by_class"], out / "classes.png")
    plots.draw_context_length({"this network": details}, out / "memory.png")
    (out / "samples.md").write_text(format_samples(samples[:3]) + format_copying(copying), encoding="utf-8")
    return {
        "score": score(items),
        "bits_per_character": score(items) / float(np.log(2)),
        "accuracy": float(hits.mean()),
        "longest_copied_run": copying["sampled"]["length"],
    }


def measure(module: "CharacterModel", processed: Path) -> pd.DataFrame:
    """Return a table with one row per line of the test text for the promotion gate. No report is written."""
    ids = encode(read_test_text(processed), module.facts)
    return tabulate_lines(decode(ids, module.facts), *score_text(module, ids), read_first_lines(processed))


def read_first_lines(processed: Path) -> list[int]:
    """Return the index of the line in which each work of the test text starts. For a single work, this is `[0]`."""
    path = processed / "test_works.json"
    return sorted(json.loads(path.read_text(encoding="utf-8")).values()) if path.is_file() else [0]


def tabulate_lines(text: str, nats: np.ndarray, hits: np.ndarray, first_lines: list[int]) -> pd.DataFrame:
    """Return the number of characters, the total loss and the number of correct predictions of each line of a text.

    All lines of a work form one group.
    """
    line = np.cumsum([0] + [character == "\n" for character in text[:-1]])  # the line ending is part of its line
    number = np.arange(line[-1] + 1)
    return pd.DataFrame(
        {
            "item": number,
            "group": np.searchsorted(first_lines, number, side="right") - 1,
            "characters": np.bincount(line),
            "nats": np.bincount(line, nats.astype(np.float64)),
            "hits": np.bincount(line, hits).astype(int),
        }
    )


def score(items: pd.DataFrame) -> float:
    """Return the mean loss in nats per character."""
    return score_sums(statistics(items).sum().to_dict())


def statistics(items: pd.DataFrame) -> pd.DataFrame:
    """Return one row of statistics per item. The sums of the statistics over all items determine the score."""
    return items[["nats", "characters"]].astype(float)


def score_sums(sums: Mapping[str, float]) -> float:
    """Return the mean loss in nats per character, computed from the sums of the statistics over the items."""
    return float(sums["nats"] / sums["characters"])


def score_validation_text(module: "CharacterModel", processed: Path) -> dict[str, float]:
    """Return the mean loss of the network and of the baseline on the validation text, because some papers report it."""
    ids = np.load(processed / "validation.npy")
    nats, _ = score_text(module, ids)
    baseline_nats = compute_baseline_nats(processed, ids)
    return {"nats": float(nats.mean(dtype=np.float64)), "baseline": float(baseline_nats.mean())}


def format_samples(samples: list[str]) -> str:
    """Return a Markdown text with samples that were generated without a prompt at temperature 1."""
    return "# Samples\n\n" + "".join(f"```text\n{sample}\n```\n\n" for sample in samples)


def write_text_samples(text_samples: list[TextSample], out: Path) -> None:
    """Write the text samples that the training recorded at its validations to a Markdown file."""
    parts = [f"## Step {row.step}, epoch {row.epoch}\n\n```text\n{row.text}\n```\n" for row in text_samples]
    (out / "samples_over_training.md").write_text("# Samples over training\n\n" + "\n".join(parts), encoding="utf-8")
