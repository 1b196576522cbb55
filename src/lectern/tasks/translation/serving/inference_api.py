"""What a registered translator answers: a column `source` to columns `target` and `score`."""

from pathlib import Path

import pandas as pd

from lectern.errors import UserError
from lectern.tasks.translation.data.format.sentences import prepare

REQUIRED = ("tokenizers",)


def predict(module, inputs: pd.DataFrame, beam: int = 5, n_best: int = 1) -> pd.DataFrame:
    """Raw sentences to their `n_best` translations each, one after the other, the best first.

    `score` is the logarithm of a translation's probability over its length in pieces.
    """
    if "source" not in inputs:
        raise UserError(f"A column 'source' is needed; there is: {', '.join(map(str, inputs))}.")
    found = module.predict(prepare(inputs["source"].tolist(), module.facts), beam=int(beam), n_best=int(n_best))
    return pd.DataFrame([one for best in found for one in best], columns=["target", "score"])


def signature():
    """The signature that MLflow checks requests against."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "source")]),
        outputs=Schema([ColSpec(DataType.string, "target"), ColSpec(DataType.double, "score")]),
        params=ParamSchema([ParamSpec("beam", DataType.long, 5), ParamSpec("n_best", DataType.long, 1)]),
    )


def example(processed: Path) -> pd.DataFrame:
    """Two validation sentences."""
    return pd.read_parquet(processed / "validation.parquet", columns=["source"]).head(2)
