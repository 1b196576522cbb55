"""A prompt to a text that appears as it is written, until its length or Stop."""

from contextlib import aclosing

import pandas as pd
from nicegui import ui

from lectern.serving.page_tab import Tab, answered_by
from lectern.tasks.language_model.data.format.alphabet import unknown_characters
from lectern.tasks.language_model.serving import request

TITLE, ICON, ORDER = "Writing", "edit_note", 2
ASKS = "Give it a beginning and it writes on, a character after the other, as the works it has read."


def build(tab: Tab) -> None:
    """The tab of one visitor."""
    desk_of = Desk(tab)
    with ui.element("div").classes("pair"):
        with ui.column().classes("card"):
            desk_of.lay()
        with ui.column().classes("card"):
            desk_of.paper = Paper()


class Desk:
    """What the text begins with, how it is written, and the two buttons."""

    def __init__(self, tab: Tab):
        self.tab, self.stopped, self.paper = tab, False, None

    def lay(self) -> None:
        self.model = self.tab.choose()
        self.model.on_value_change(lambda: self.prompt.set_value(self.example()))
        self.prompt = ui.textarea("Beginning", value=self.example()).props("outlined autogrow").classes("w-full")
        self.temperature = slider("Temperature", 0, 2, 0.05, 0.8)
        self.length = slider("Length", 100, request.LONGEST, 100, 600)
        with ui.row().classes("actions"):
            self.seed = ui.number("Seed", value=0, min=0, precision=0).props("outlined dense").style("width: 90px")
            self.write = ui.button("Write", on_click=self.go)
            self.stop = ui.button("Stop", on_click=self.halt).props("flat")
            self.stop.disable()

    def example(self) -> str:
        """A beginning of the kind that it has read: the last whole lines of the one that its version carries."""
        prompt = (self.tab.champion(self.model.value).example or {}).get("prompt", "")
        return prompt[: prompt.rfind("\n") + 1] or prompt

    def halt(self) -> None:
        self.stopped = True

    async def go(self) -> None:
        """Write until the end, until Stop, or until the visitor has gone."""
        self.stopped, client = False, ui.context.client
        self.write.disable(), self.stop.enable()
        try:
            with self.tab.version_tags():
                champion = self.tab.champion(self.model.value)
                prompt = self.tab.checked(self.prompt.value)
                self.paper.begin(prompt, unknown_characters(prompt, champion.module.facts))
                pieces = request.stream(champion.module, pd.DataFrame({"prompt": [prompt]}), self.params())
                async with aclosing(self.tab.stream(champion, pieces)) as texts:
                    async for text in texts:
                        if self.stopped or not client.has_socket_connection:
                            break
                        self.paper.add(text)
                self.paper.end(answered_by(champion) + (", stopped" if self.stopped else ""))
        finally:
            self.write.enable(), self.stop.disable()

    def params(self) -> dict:
        return {
            "temperature": float(self.temperature.value),
            "length": int(self.length.value),
            "seed": int(self.seed.value or 0),
        }


class Paper:
    """What was given, and what is written after it."""

    def __init__(self):
        with ui.element("div").classes("written"):
            self.given = ui.label().classes("given inline")
            self.text = ui.label().classes("text inline").props("aria-live=off")
        self.note = ui.label("Nothing is written yet.").classes("note").props("aria-live=polite")

    def begin(self, prompt: str, strange: list[str]) -> None:
        self.given.set_text(prompt)
        self.text.set_text("")
        unknown = f"It has never seen {' '.join(strange)}, and reads it as unknown. "
        self.note.set_text(f"{unknown if strange else ''}Writing …")

    def add(self, text: str) -> None:
        self.text.set_text(self.text.text + text)

    def end(self, note: str) -> None:
        self.note.set_text(f"{len(self.text.text):,} characters, {note}")


def slider(name: str, low: float, high: float, step: float, value: float) -> ui.slider:
    """A slider under its name and value."""
    with ui.column().classes("labelled"):
        label = ui.label().classes("note")
        made = ui.slider(min=low, max=high, step=step, value=value).props(f'aria-label="{name}"')
        label.bind_text_from(made, "value", lambda value: f"{name} {value:g}")
    return made
