"""Load the model of a version, and predict with the code of the package that contains `loaded_model.py`.

Each version contains a copy of `loaded_model.py` in its packaged code, so a version can predict with its own code.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lectern.artifacts.model_metadata import read_metadata
from lectern.registry.model_params import validate_params
from lectern.task_modules import task_module

if TYPE_CHECKING:
    from lectern.training.module import TrainableModule


class LoadedModel:
    """A Lightning module with the functions of its task that predict in this process."""

    def __init__(self, module: "TrainableModule", task: str):
        self.module, self.task = module, task
        self.inference_api = task_module(task, "serving.inference_api")

    @classmethod
    def load(cls, folder: Path) -> "LoadedModel":
        """Load a model folder. Raises UserError if the folder is missing, incomplete, damaged or of another format."""
        from lectern.artifacts import model_folder  # importing PyTorch takes seconds

        return cls(model_folder.load_model(folder), read_metadata(folder)["task"])

    @property
    def requests(self) -> Any:
        """The task's module `serving.request`, which only the server and the commands import."""
        return task_module(self.task, "serving.request")

    @property
    def facts(self) -> dict[str, Any]:
        """The facts about the training data of the model, for example the tokenizer or the size of the frames."""
        return getattr(self.module, "facts", {})

    @property
    def signature(self) -> dict[str, Any]:
        """The MLflow signature of the model as a dictionary."""
        signature: dict[str, Any] = self.inference_api.signature().to_dict()
        return signature

    def predict(self, inputs: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the prediction for `inputs`. It equals the prediction of the version's pyfunc model.

        Raises UserError if a parameter is wrong.
        """
        return self.inference_api.predict(self.module, inputs, **validate_params(self.task, params or {}))

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the task's `serving/request.py` with the Lightning module as the first argument."""
        return getattr(self.requests, name)(self.module, *arguments)

    def iterate(self, name: str, *arguments: Any) -> Iterator[Any]:
        """Yield the items of a generator in the task's `serving/request.py`, called with the Lightning module first."""
        yield from getattr(self.requests, name)(self.module, *arguments)

    def read_file(self, path: Path, megapixels: float) -> Generator[Any, None, None]:
        """Yield the model inputs in a file. Raises UserError if an image or a window is larger than `megapixels`."""
        yield from self.requests.FILE_READERS[path.suffix.lower()](path, self.module, megapixels)
