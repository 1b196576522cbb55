"""A version's model folder to MLflow's pyfunc: raw inputs in, answers out. This file is saved as code, not pickled."""

from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel

from lectern.artifacts.model_metadata import read_metadata
from lectern.task_modules import task_module


class Answer(PythonModel):
    """Loads the model folder that the version carries and answers as its task's room does."""

    def load_context(self, context) -> None:
        from lectern.artifacts import (
            model_folder,  # here, as MLflow runs this file when a version is registered: torch takes seconds
        )

        folder = Path(context.artifacts["model"])
        self.module = model_folder.load_model(folder)
        self.inference_api = task_module(read_metadata(folder)["task"], "serving.inference_api")

    def predict(self, context, model_input, params=None):
        return self.inference_api.predict(self.module, model_input, **(params or {}))


mlflow.models.set_model(Answer())
