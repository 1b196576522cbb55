"""Wrap a model folder as an MLflow pyfunc model.

MLflow stores the file pyfunc.py as the code of the model, so a saved model contains no pickled object.
"""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from lectern.registry.loaded_model import LoadedModel


class TaskModel(PythonModel):
    """An MLflow pyfunc model that loads the model folder of a version and predicts with the task's inference API."""

    _skip_type_hint_validation = True  # the MLflow signature describes the inputs instead of type hints

    def load_context(self, context: PythonModelContext) -> None:
        self.model = LoadedModel.load(Path(context.artifacts["model"]))

    def predict(self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        return self.model.predict(model_input, params)


TaskModel.predict.__annotations__.clear()  # MLflow would fail to derive a signature from the type hints
mlflow.models.set_model(TaskModel())
