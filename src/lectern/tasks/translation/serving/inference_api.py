"""Define the inference API of a registered translation model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    translations = module.predict(prepare(inputs["source"].tolist(), module.facts), beam=beam, n_best=n_best)
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


def param_limits() -> dict[str, Any]:
    """Return the limits of the params as pydantic fields."""
    from pydantic import Field

    from lectern.tasks.translation.model.module import MAX_BEAM

    beam = "number of partial translations that the search keeps; 1 means greedy search"
    n_best = "number of translations per sentence, which is at most `beam`"
    return {
        "beam": Field(ge=1, le=MAX_BEAM, description=beam),
        "n_best": Field(ge=1, le=MAX_BEAM, description=n_best),
    }


def check_params(beam: int, n_best: int) -> None:
    """Raise UserError if `n_best` is above `beam`."""
    from lectern.tasks.translation.model.module import check_beam

    check_beam(beam, n_best)


def example(processed: Path) -> pd.DataFrame:
    """Return two validation sentences as an example input."""
    return pd.read_parquet(processed / "validation.parquet", columns=["source"]).head(2)
