"""What a room's tab is given: the champions of its task, and a way to ask them; nothing else of the server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from lectern.errors import UserError
from lectern.serving.champions import Champion, Champions
from lectern.serving.deadline import Busy
from lectern.serving.executor import Executor
from lectern.serving.settings import Settings


class Tab:
    """One task's champions, asked as the API asks them."""

    def __init__(self, task: str, champions: Champions, asking: Executor):
        self.task, self.champions, self.asking = task, champions, asking

    @property
    def settings(self) -> Settings:
        return self.asking.settings

    def choose(self) -> ui.select:
        """A menu of the champions by data set, real ones before samples; its value is a name."""
        names = [champion.name for champion in self.champions.of(self.task)]
        labels = {name: name.replace("_", " ") for name in names}
        return ui.select(labels, value=names[0], label="Model").props("outlined dense").classes("choose")

    def champion(self, name: str) -> Champion:
        """The version that is served now. Raises UserError where it is gone."""
        return self.champions.get(name)

    def checked(self, text: str | None) -> str:
        """What was typed. Raises UserError for more of it than the API takes."""
        if text and len(text) > self.settings.characters:
            raise UserError(f"The text has {len(text):,} characters; at most {self.settings.characters:,} are taken.")
        return text or ""

    async def ask(self, champion: Champion, inputs: Any, params: dict[str, Any] | None = None) -> Any:
        return await self.asking.ask(champion, inputs, params or {})

    async def run(self, function, *arguments: Any) -> Any:
        """What takes a moment, in a thread of the server's."""
        return await self.asking.run(function, *arguments)

    async def work(self, champion: Champion, function, *arguments: Any) -> Any:
        """What may take long, in a thread of the model's."""
        return await self.asking.work(champion, function, champion, *arguments)

    def stream(self, champion: Champion, pieces: Iterator[str]) -> AsyncIterator[str]:
        return self.asking.stream(champion, pieces)

    @contextmanager
    def version_tags(self) -> Iterator[None]:
        """What goes wrong within is told on the page, in the words of the API."""
        try:
            yield
        except (UserError, Busy) as error:
            ui.notify(str(error), type="warning", position="top", multi_line=True, timeout=8000)

    @contextmanager
    def working(self, *buttons: ui.button) -> Iterator[None]:
        """Buttons rest while something is computed."""
        for button in buttons:
            button.props("loading")
        try:
            with self.version_tags():
                yield
        finally:
            for button in buttons:
                button.props(remove="loading")


def answered_by(champion: Champion) -> str:
    return f"answered by {champion.name} version {champion.number} ({champion.version.tags['lectern.experiment']})"
