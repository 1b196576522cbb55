"""Wrap a model folder as an MLflow pyfunc model. MLflow stores this file as code, so no object is pickled."""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from lectern.artifacts.model_metadata import read_metadata
from lectern.task_modules import task_module


class TaskModel(PythonModel):
    """A pyfunc model that loads the model folder of a version and predicts with the inference API of the task."""

    _skip_type_hint_validation = True  # Type hints are not needed, because the signature describes the inputs.

    def load_context(self, context: PythonModelContext) -> None:
        # MLflow runs this file when a version is registered. An import of PyTorch at the top would take seconds.
        from lectern.artifacts import model_folder

        folder = Path(context.artifacts["model"])
        self.module = model_folder.load_model(folder)
        self.inference_api = task_module(read_metadata(folder)["task"], "serving.inference_api")

    def predict(self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        return self.inference_api.predict(self.module, model_input, **(params or {}))


TaskModel.predict.__annotations__.clear()  # MLflow cannot derive a signature from these type hints.
mlflow.models.set_model(TaskModel())
