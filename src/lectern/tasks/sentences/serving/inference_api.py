"""Define the inference API of a registered sentence classifier."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.sentences.data.format.sentences import prepare
from lectern.tasks.sentences.data.format.vocabulary import UNKNOWN

if TYPE_CHECKING:  # importing MLflow and torch is slow
    from mlflow.models import ModelSignature

    from lectern.tasks.sentences.model.module import SentenceClassifier


def predict(module: "SentenceClassifier", inputs: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each sentence in the column `text`.

    `label` is the most probable class and `probability` its probability. `probabilities` maps the name of each class to
    its probability. `unknown_share` is the share of the words, from 0 to 1, that the model has never seen.
    """
    if "text" not in inputs:
        raise UserError(f"The input has no column 'text'. Its columns are: {', '.join(map(str, inputs))}.")
    sentences = prepare(inputs["text"].tolist(), module.facts)
    probabilities, classes = module.predict(sentences).astype(float), module.facts["classes"]
    return pd.DataFrame(
        {
            "label": [classes[number] for number in probabilities.argmax(1)],
            "probability": probabilities.max(1),
            "probabilities": [dict(zip(classes, row, strict=True)) for row in probabilities.tolist()],
            "unknown_share": [words.count(UNKNOWN) / len(words) for words in sentences],
        }
    )


def signature() -> "ModelSignature":
    """Return the MLflow signature, which defines the types of inputs and outputs."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "text")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Map(DataType.double), "probabilities"),
                ColSpec(DataType.double, "unknown_share"),
            ]
        ),
    )


def example(processed: Path) -> pd.DataFrame:
    """Return two validation sentences as an example input."""
    return pd.read_parquet(processed / "validation.parquet", columns=["text"]).head(2)
