"""A version's model folder to MLflow's pyfunc: raw inputs in, answers out. This file is saved as code, not pickled."""

from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel

from lectern.description import read_description
from lectern.rooms import leg


class Answer(PythonModel):
    """Loads the model folder that the version carries and answers as its task's room does."""

    def load_context(self, context) -> None:
        from lectern import models  # here, as MLflow runs this file when a version is registered: torch takes seconds

        folder = Path(context.artifacts["model"])
        self.module = models.load(folder)
        self.room = leg(read_description(folder)["task"], "answer")

    def predict(self, context, model_input, params=None):
        return self.room.answer(self.module, model_input, **(params or {}))


mlflow.models.set_model(Answer())
