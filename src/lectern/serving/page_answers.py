"""Show the answer of the champion, and on request the answer of the challenger for the same input."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from nicegui import ui

from lectern.errors import UserError
from lectern.serving.champions import Champion
from lectern.serving.deadline import ModelBusy
from lectern.serving.model_choice import ModelChoice
from lectern.serving.page_status import Status

SERVER_ERROR = "The server could not compute the answer. The log of the server contains the reason."


class AnswerPanel(Protocol):
    """The part of an answer that depends on the task."""

    def clear(self) -> None:
        """Remove the last answer."""


Panel = TypeVar("Panel", bound=AnswerPanel)


class Answer(Generic[Panel]):
    """A card with the panel of one version, and a line that says which version computed the answer."""

    def __init__(self, title: str, create_panel: Callable[[], Panel], note: str):
        with ui.column().classes("card") as self.card:
            with ui.element("h2").classes("title") as self.title:
                ui.label(title)
            self.panel, self.status = create_panel(), Status(note)

    @contextmanager
    def report_errors(self) -> Iterator[None]:
        """Show an error of the block, and remove the last answer, which belongs to another input."""
        try:
            yield
        except (UserError, ModelBusy) as error:
            self.panel.clear()
            self.status.show_error(error)
        except Exception:
            self.panel.clear()
            self.status.show_error(UserError(SERVER_ERROR))
            raise


class Answers(Generic[Panel]):
    """The answer of the champion, and the answer of the challenger if the visitor compares both."""

    def __init__(self, choice: ModelChoice, create_panel: Callable[[], Panel], note: str, progress_note: str = ""):
        """Add the cards. `note` is shown before the first request, and `progress_note` during a request."""
        self.choice, self.create_panel = choice, create_panel
        self.first_note, self.progress_note = note, progress_note
        self.challenger: Answer[Panel] | None = None  # created when the visitor compares both versions
        with ui.column().classes("answers") as self.cards:
            self.champion = Answer("Champion", create_panel, note)
        self.show_compared()
        choice.compare.on_value_change(self.show_compared)

    def show_compared(self) -> None:
        """Show the card of the challenger only while the visitor compares both versions."""
        compares = self.choice.compares
        if compares and self.challenger is None:
            with self.cards:
                self.challenger = Answer("Challenger", self.create_panel, self.first_note)
        self.champion.title.set_visibility(compares)
        if self.challenger:
            self.challenger.card.set_visibility(compares)

    def clear(self) -> None:
        for answer in filter(None, (self.champion, self.challenger)):
            answer.panel.clear()
            answer.status.show_note(self.first_note)

    async def request(self, respond: Callable[[Champion, Panel], Awaitable[str]], *buttons: ui.button) -> None:
        """Call `respond` with the champion and its panel, and then with the challenger if the visitor compares both.

        `respond` shows the answer in the panel, and returns a text about the answer. The buttons show a spinner.
        """
        self.show_compared()  # the challenger can have changed since the visitor used the checkbox
        for button in buttons:
            button.props("loading")
        try:
            await self.request_one(self.champion, self.choice.load_champion, respond)
            if self.choice.compares and self.challenger:
                await self.request_one(self.challenger, self.choice.load_challenger, respond)
        finally:
            for button in buttons:
                button.props(remove="loading")

    async def request_one(
        self,
        answer: Answer[Panel],
        load: Callable[[], Awaitable[Champion]],
        respond: Callable[[Champion, Panel], Awaitable[str]],
    ) -> None:
        """Show the answer of one version, or the error."""
        with answer.report_errors():
            if self.progress_note:
                answer.status.show_note(self.progress_note)
            version = await load()
            details = await respond(version, answer.panel)
            answer.status.show_note(", ".join(filter(None, (details, version_note(version)))))


def version_note(version: Champion) -> str:
    """Return a text for the page that says which version computed a result."""
    return f"model: {version.name} version {version.version.number} ({version.version.experiment})"
