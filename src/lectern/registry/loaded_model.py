"""Load the model of a version, and predict with the code of the package that contains this module.

A version contains a copy of this module, so the same functions run for a version with other code.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lectern.artifacts.model_metadata import read_metadata
from lectern.task_modules import task_module

if TYPE_CHECKING:
    from lectern.training.module import TrainableModule


class LoadedModel:
    """A module of a task, and the functions that predict with it in this process."""

    def __init__(self, module: "TrainableModule", task: str):
        self.module, self.task = module, task
        self.inference_api = task_module(task, "serving.inference_api")

    @classmethod
    def load(cls, folder: Path) -> "LoadedModel":
        """Load a model folder. Raises UserError if it is missing, incomplete, damaged or of another format."""
        from lectern.artifacts import model_folder  # The import of PyTorch takes seconds.

        return cls(model_folder.load_model(folder), read_metadata(folder)["task"])

    @property
    def requests(self) -> Any:
        """The module with the requests that the task answers. Only the server and the commands import it."""
        return task_module(self.task, "serving.request")

    @property
    def facts(self) -> dict[str, Any]:
        """The facts about the data of the model, for example the tokenizer or the size of the frames."""
        return getattr(self.module, "facts", {})

    @property
    def signature(self) -> dict[str, Any]:
        """The MLflow signature of the model as a dictionary."""
        signature: dict[str, Any] = self.inference_api.signature().to_dict()
        return signature

    def predict(self, inputs: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the same prediction as the pyfunc model of the version."""
        return self.inference_api.predict(self.module, inputs, **(params or {}))

    def call(self, name: str, *arguments: Any) -> Any:
        """Return the result of a function of the task's `serving/request.py`, which gets the module first."""
        return getattr(self.requests, name)(self.module, *arguments)

    def iterate(self, name: str, *arguments: Any) -> Iterator[Any]:
        """Yield the items of a function of the task's `serving/request.py`, which gets the module first."""
        yield from getattr(self.requests, name)(self.module, *arguments)

    def read_file(self, path: Path, megapixels: float) -> Iterator[Any]:
        """Yield the inputs of a file. Raises UserError if an image or a window is larger than `megapixels`."""
        yield from self.requests.FILE_READERS[path.suffix.lower()](path, self.module, megapixels)
