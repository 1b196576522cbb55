"""A trained network and the raw test text to scores, a row a line, pictures of what it finds hard, and samples."""

from pathlib import Path

import numpy as np
import pandas as pd

from lectern.artifacts.history_file import TextSample
from lectern.atomic import write_json
from lectern.tasks.language_model.data.format.alphabet import decode, prepare
from lectern.tasks.language_model.model.generation import write_together
from lectern.tasks.language_model.report import plots
from lectern.tasks.language_model.report.baseline import count_nats, read_test
from lectern.tasks.language_model.report.context_length import after_reset, at_closing
from lectern.tasks.language_model.report.copying import compare_copying, tell_copying
from lectern.tasks.language_model.report.scoring import score_text

BLOCK = 50  # lines of a scene or a module resemble each other: the gate resamples runs of lines
SAMPLED = (10, 1000)  # texts and characters each, for what was copied


def evaluate(module, processed: Path, out: Path) -> dict[str, float]:
    """Nats, bits, accuracy and perplexity a character of the test text read once, and the longest run copied."""
    ids = prepare(read_test(processed), module.facts)
    text = decode(ids, module.facts)
    nats, hits = score_text(module, ids)
    counted = count_nats(processed, ids)
    items = tabulate(text, nats, hits)
    items.to_parquet(out / "items.parquet", index=False)

    train = np.load(processed / "train.npy")
    samples = write_together(module, np.zeros((SAMPLED[0], 0), np.uint16), SAMPLED[1])
    copying = compare_copying([prepare(sample, module.facts) for sample in samples], ids, train, module.facts)
    details = {
        "by_class": by_class(text, nats, counted),
        "after_reset": after_reset(module, ids, nats),
        "at_closing": at_closing(text, nats),
        "validation": describe_validation(module, processed),
        "copying": copying,
    }
    write_json(out / "details.json", details)
    plots.draw_classes(details["by_class"], out / "classes.png")
    plots.draw_memory({"this network": details}, out / "memory.png")
    (out / "samples.md").write_text(tell_samples(samples[:3]) + tell_copying(copying), encoding="utf-8")
    return {
        "score": score(items),
        "bits_per_character": score(items) / float(np.log(2)),
        "perplexity": float(np.exp(score(items))),
        "accuracy": float(hits.mean()),
        "longest_copied_run": copying["sampled"]["length"],
        "longest_copied_run_of_test": copying["held_out"]["length"],
    }


def measure(module, processed: Path) -> pd.DataFrame:
    """The items alone: all that the gate asks for."""
    ids = prepare(read_test(processed), module.facts)
    return tabulate(decode(ids, module.facts), *score_text(module, ids))


def tabulate(text: str, nats: np.ndarray, hits: np.ndarray) -> pd.DataFrame:
    """A row a line: how many characters, their nats together, and how many were guessed."""
    line = np.cumsum([0] + [character == "\n" for character in text[:-1]])  # a line's end belongs to it
    number = np.arange(line[-1] + 1)
    return pd.DataFrame(
        {
            "item": number,
            "block": number // BLOCK,
            "characters": np.bincount(line),
            "nats": np.bincount(line, nats.astype(np.float64)),
            "hits": np.bincount(line, hits).astype(int),
        }
    )


def score(items: pd.DataFrame) -> float:
    """Nats a character: the lower, the better the text was foreseen."""
    return float(items["nats"].sum() / items["characters"].sum())


def describe_validation(module, processed: Path) -> dict[str, float]:
    """The same two numbers on the validation text, as papers and lectures give them."""
    ids = np.load(processed / "validation.npy")
    nats, _ = score_text(module, ids)
    return {"nats": float(nats.mean(dtype=np.float64)), "counting": float(count_nats(processed, ids).mean())}


CLASSES = ("first letter", "later letter", "capital", "digit", "space", "new line", "tab", "other")


def classify(text: str) -> list[str]:
    """What each character is; the first letter of a word leaves more open than the later ones."""
    kinds = {" ": "space", "\n": "new line", "\t": "tab"}
    found = []
    for before, character in zip(" " + text, text, strict=False):
        if character.islower():
            found.append("later letter" if before.isalpha() or before == "'" else "first letter")
        else:
            rest = "capital" if character.isupper() else "digit" if character.isdigit() else "other"
            found.append(kinds.get(character, rest))
    return found


def by_class(text: str, nats: np.ndarray, counted: np.ndarray) -> dict[str, dict]:
    """Of each class of characters: how many, their mean nats, and the same by counting."""
    found = np.array(classify(text))
    return {
        name: {
            "characters": int((found == name).sum()),
            "nats": float(nats[found == name].mean(dtype=np.float64)),
            "counting": float(counted[found == name].mean()),
        }
        for name in CLASSES
        if (found == name).any()
    }


def tell_samples(samples: list[str]) -> str:
    """What it writes from nothing, at temperature 1."""
    return "# Samples\n\n" + "".join(f"```text\n{sample}\n```\n\n" for sample in samples)


def write_text_samples(shown: list[TextSample], out: Path) -> None:
    """The samples of every validation, in order: the network learning to spell."""
    parts = [f"## Step {row.step}, epoch {row.epoch}\n\n```text\n{row.text}\n```\n" for row in shown]
    (out / "samples_over_training.md").write_text("# Samples over training\n\n" + "\n".join(parts), encoding="utf-8")
