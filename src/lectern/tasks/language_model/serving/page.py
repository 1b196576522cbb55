"""Build the page tab on which visitors enter a prompt and see the text while it is generated."""

from contextlib import aclosing
from typing import Any

import pandas as pd
from nicegui import ui

from lectern.registry.model_params import validate_params
from lectern.serving.page_tab import Tab, version_note
from lectern.tasks.language_model.data.format.alphabet import find_unknown_characters
from lectern.tasks.language_model.serving import request

TITLE, ICON, ORDER = "Writing", "edit_note", 2
DESCRIPTION = "Enter a prompt, and the network continues the text, one character at a time."


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.element("div").classes("two-columns"):
        with ui.column().classes("card"):
            form = PromptForm(tab)
        with ui.column().classes("card"):
            output = Output()
    form.write.on_click(lambda: form.generate(output))


class PromptForm:
    """A form for the prompt and the sampling options, with buttons that start and stop the generation."""

    def __init__(self, tab: Tab):
        self.tab, self.stopped = tab, False
        self.model = tab.model_select()
        self.prompt = ui.textarea("Prompt", value=self.example()).props("outlined autogrow").classes("w-full")
        self.model.on_value_change(lambda: self.prompt.set_value(self.example()))
        self.temperature = add_slider("Temperature", 0, 2, 0.05, 0.8)
        self.length = add_slider("Length", 100, request.MAX_LENGTH, 100, 600)
        with ui.row().classes("actions"):
            self.seed = ui.number("Seed", value=0, min=0, precision=0).props("outlined dense").style("width: 90px")
            self.write = ui.button("Write")
            self.stop = ui.button("Stop", on_click=self.request_stop).props("flat")
            self.stop.disable()

    def example(self) -> str:
        """Return the complete lines of the example prompt that is stored with the version.

        If the example prompt has no complete line, return the complete example prompt.
        """
        prompt = str((self.tab.champion(self.model.value).example or {}).get("prompt", ""))
        return prompt[: prompt.rfind("\n") + 1] or prompt

    def request_stop(self) -> None:
        self.stopped = True

    async def generate(self, output: "Output") -> None:
        """Generate and show text until the text has the selected length, or the visitor clicks Stop or disconnects."""
        self.stopped, client = False, ui.context.client
        self.write.disable(), self.stop.enable()
        try:
            with self.tab.show_errors():
                champion = self.tab.champion(self.model.value)
                prompt = self.tab.check_text(self.prompt.value)
                output.begin(prompt, find_unknown_characters(prompt, champion.model.facts))
                params = validate_params(champion.task, self.params(), for_server=True)
                pieces = champion.model.iterate("stream", pd.DataFrame({"prompt": [prompt]}), params)
                async with aclosing(self.tab.stream(champion, pieces)) as texts:
                    async for text in texts:
                        if self.stopped or not client.has_socket_connection:
                            break
                        output.add(text)
                output.end(version_note(champion) + (", stopped" if self.stopped else ""))
        finally:
            self.write.enable(), self.stop.disable()

    def params(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature.value,
            "length": as_integer(self.length.value),
            "seed": as_integer(self.seed.value or 0),
        }


class Output:
    """A panel that shows the prompt, the text that is being generated, and a note."""

    def __init__(self) -> None:
        with ui.element("div").classes("generated-text"):
            self.prompt = ui.label().classes("prompt inline")
            self.text = ui.label().classes("text inline").props("aria-live=off")
        self.note = ui.label("No text has been generated yet.").classes("note").props("aria-live=polite")

    def begin(self, prompt: str, unknown: list[str]) -> None:
        self.prompt.set_text(prompt)
        self.text.set_text("")
        warning = (
            f"The training text does not contain these characters of the prompt: {' '.join(unknown)} "
            if unknown
            else ""
        )
        self.note.set_text(f"{warning}Generating …")

    def add(self, text: str) -> None:
        self.text.set_text(self.text.text + text)

    def end(self, note: str) -> None:
        self.note.set_text(f"{len(self.text.text):,} characters, {note}")


def as_integer(value: Any) -> Any:
    """Return a whole number as an int, because a browser sends every number as a float. Keep any other value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def add_slider(name: str, low: float, high: float, step: float, value: float) -> ui.slider:
    """Add a slider with a label that shows the name and the current value of the slider."""
    with ui.column().classes("labelled-slider"):
        label = ui.label().classes("note")
        slider = ui.slider(min=low, max=high, step=step, value=value).props(f'aria-label="{name}"')
        label.bind_text_from(slider, "value", lambda value: f"{name} {value:g}")
    return slider
