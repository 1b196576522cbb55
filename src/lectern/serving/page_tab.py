"""Provide the champions and the prediction functions for the page tab of a task."""

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.registry.model_params import validate_params
from lectern.serving.challengers import Challengers
from lectern.serving.champions import Champion, Champions
from lectern.serving.executor import Executor
from lectern.serving.model_choice import ModelChoice
from lectern.serving.page_address import PageAddress
from lectern.serving.page_examples import read_input_example
from lectern.serving.settings import Settings

TEST_SENTENCES = 50  # number of test sentences among which examples are searched
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tab:
    """The champions of one task, and the functions that run predictions for its tab."""

    task: str
    champions: Champions
    challengers: Challengers
    executor: Executor
    address: PageAddress

    @property
    def settings(self) -> Settings:
        return self.executor.settings

    def add_model_choice(self) -> ModelChoice:
        """Add a menu of the task's champions. The address of the page contains the chosen model."""
        choice = ModelChoice(self.task, self.champions, self.challengers, self.address.models.get(self.task, ""))
        choice.on_change(lambda: self.address.show_model(self.task, choice.name))
        return choice

    def find_champion(self, choice: ModelChoice) -> Champion:
        """Return the loaded champion of the chosen model. Raises NotServed if no champion of the model is loaded."""
        return self.champions.get(choice.name)

    def read_input_example(self, choice: ModelChoice) -> list[Any]:
        """Return the rows of the input example of the chosen model."""
        return read_input_example(self.champions, self.find_champion(choice))

    def read_sentences(self, choice: ModelChoice, column: str, max_characters: int) -> list[str]:
        """Return example sentences for the chosen model.

        The first sentences are the input example. If this machine has the dataset, test sentences with at most
        `max_characters` characters follow. `column` is the column of the sentences in `test.parquet`.
        """
        sentences = [str(row[0]) for row in self.read_input_example(choice)]
        path = PROCESSED / choice.name / "test.parquet"
        if path.is_file():
            test = pd.read_parquet(path, columns=[column])[column].head(TEST_SENTENCES)
            sentences += [text for text in test if len(text) <= max_characters]
        return list(dict.fromkeys(sentences))

    def check_text(self, text: str | None) -> str:
        """Return `text` unchanged, or an empty text for None.

        Raises UserError if `text` is longer than the API allows.
        """
        if text and len(text) > self.settings.max_characters:
            raise UserError(
                f"The text has {len(text):,} characters; at most {self.settings.max_characters:,} are allowed."
            )
        return text or ""

    async def predict(self, version: Champion, inputs: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the prediction of a version, computed in the same way as in the API.

        Raises UserError if a parameter is wrong.
        """
        complete = validate_params(version.task, params, for_server=True) if params else {}
        if version is self.challengers.loaded.get(version.name):  # batches are for champions, which the API serves
            with self.executor.track(version):
                return await self.executor.run_inference(version, version.model.predict, inputs, complete)
        return await self.executor.predict(version, inputs, complete)

    async def run_short(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a short function in a thread, to keep the event loop free."""
        return await self.executor.run_short(function, *arguments)

    async def run_inference(self, version: Champion, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run `function(version, *arguments)` in the thread pool of the model."""
        return await self.executor.run_inference(version, function, version, *arguments)

    async def run_with_file(self, version: Champion, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run `function(version, *arguments)`, which reads a file, in the thread pool of the model.

        The function waits while the API and the page read `workers` other files of the model.
        """
        return await self.executor.run_with_file(version, function, version, *arguments)

    def stream(self, version: Champion, pieces: Iterator[str]) -> AsyncGenerator[str, None]:
        """Yield a generated text in slices."""
        return self.executor.stream(version, pieces)
