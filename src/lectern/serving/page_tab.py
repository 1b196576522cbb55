"""Provide the champions and the prediction functions for the page tab of a task."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from nicegui import ui

from lectern.errors import UserError
from lectern.registry.model_params import validate_params
from lectern.serving.champions import Champion, Champions
from lectern.serving.deadline import ModelBusy
from lectern.serving.executor import Executor
from lectern.serving.settings import Settings

Result = TypeVar("Result")


class Tab:
    """The champions of one task, and the functions that run predictions for its tab."""

    def __init__(self, task: str, champions: Champions, executor: Executor):
        self.task, self.champions, self.executor = task, champions, executor

    @property
    def settings(self) -> Settings:
        return self.executor.settings

    def model_select(self) -> ui.select:
        """Add a menu of the task's champions. The value of the menu is the name of a registered model."""
        names = [champion.name for champion in self.champions.for_task(self.task)]
        labels = {name: name.replace("_", " ") for name in names}
        return ui.select(labels, value=names[0], label="Model").props("outlined dense").classes("model-select")

    def champion(self, name: str) -> Champion:
        """Return the loaded champion of the model `name`. Raises NotServed if no champion of the model is loaded."""
        return self.champions.get(name)

    def check_text(self, text: str | None) -> str:
        """Return `text` unchanged, or an empty text for None.

        Raises UserError if `text` is longer than the API allows.
        """
        if text and len(text) > self.settings.max_characters:
            raise UserError(
                f"The text has {len(text):,} characters; at most {self.settings.max_characters:,} are allowed."
            )
        return text or ""

    async def predict(self, champion: Champion, inputs: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the prediction of a champion, computed in the same way as in the API.

        Raises UserError if a parameter is wrong.
        """
        complete = validate_params(champion.task, params, for_server=True) if params else {}
        return await self.executor.predict(champion, inputs, complete)

    async def run_short(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a short function in a thread, to keep the event loop free."""
        return await self.executor.run_short(function, *arguments)

    async def run_inference(self, champion: Champion, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run `function(champion, *arguments)` in the thread pool of the model."""
        self.executor.has_read_files = True  # the function may read an uploaded file
        return await self.executor.run_inference(champion, function, champion, *arguments)

    def stream(self, champion: Champion, pieces: Iterator[str]) -> AsyncGenerator[str, None]:
        """Yield a generated text in slices."""
        return self.executor.stream(champion, pieces)

    @contextmanager
    def show_errors(self) -> Iterator[None]:
        """Show errors that the block raises as notifications on the page."""
        try:
            yield
        except (UserError, ModelBusy) as error:
            ui.notify(str(error), type="warning", position="top", multi_line=True, timeout=8000)

    @contextmanager
    def show_progress(self, *buttons: ui.button) -> Iterator[None]:
        """Disable the buttons during the block, and show a spinner on each button.

        Errors that the block raises are shown as notifications on the page.
        """
        for button in buttons:
            button.props("loading")
        try:
            with self.show_errors():
                yield
        finally:
            for button in buttons:
                button.props(remove="loading")


def version_note(champion: Champion) -> str:
    """Return a text for the page that says which version computed a result."""
    return f"model: {champion.name} version {champion.version.number} ({champion.version.experiment})"
