"""Define the inference API of a registered translation model."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.translation.data.format.sentences import prepare

if TYPE_CHECKING:  # importing MLflow and torch is slow
    from mlflow.models import ModelSignature

    from lectern.tasks.translation.model.module import Translator

REQUIRED = ("tokenizers",)


def predict(module: "Translator", inputs: pd.DataFrame, beam: int = 5, n_best: int = 1) -> pd.DataFrame:
    """Return `n_best` rows with translations for each sentence in the column `source`, the best translation first.

    `score` is the log-probability of the translation divided by its length in tokens.
    """
    if "source" not in inputs:
        raise UserError(f"The input has no column 'source'. Its columns are: {', '.join(map(str, inputs))}.")
    translations = module.predict(prepare(inputs["source"].tolist(), module.facts), beam=int(beam), n_best=int(n_best))
    return pd.DataFrame([row for best in translations for row in best], columns=["target", "score"])


def signature() -> "ModelSignature":
    """Return the MLflow signature, which defines the types of inputs, outputs and params."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "source")]),
        outputs=Schema([ColSpec(DataType.string, "target"), ColSpec(DataType.double, "score")]),
        params=ParamSchema([ParamSpec("beam", DataType.long, 5), ParamSpec("n_best", DataType.long, 1)]),
    )


def example(processed: Path) -> pd.DataFrame:
    """Return two validation sentences as an example input."""
    return pd.read_parquet(processed / "validation.parquet", columns=["source"]).head(2)
