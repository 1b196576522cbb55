"""Build the page tab on which visitors enter a prompt and see the text while it is generated."""

from contextlib import aclosing

import numpy as np
import pandas as pd
from nicegui import ui

from lectern.artifacts.paths import PROCESSED
from lectern.artifacts.text_lines import split_lines
from lectern.serving.champions import Champion
from lectern.serving.model_choice import ModelChoice
from lectern.serving.page_answers import Answers
from lectern.serving.page_examples import add_text_examples
from lectern.serving.page_params import ParamInputs
from lectern.serving.page_tab import Tab
from lectern.tasks.language_model.data.format.alphabet import find_unknown_characters
from lectern.tasks.language_model.serving.generated_text import GeneratedText

TITLE, ICON, ORDER = "Writing", "edit_note", 2
DESCRIPTION = "Enter a prompt, and the network continues the text, one character at a time. Ctrl+Enter starts."
BASELINE = "predict each character from the last five characters with counts of the training text"
TRAINING_ITEMS = "characters: characters"
EMPTY_NOTE = "No text has been generated yet."
EXAMPLE_LINES = 3


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.element("div").classes("two-columns"):
        with ui.column().classes("card"):
            choice = tab.add_model_choice()
            form = PromptForm(tab, choice)
        form.answers = Answers(choice, GeneratedText, EMPTY_NOTE, "Generating …")


class PromptForm:
    """A form for the prompt and the parameters, with buttons that start and stop the generation."""

    answers: Answers[GeneratedText]

    def __init__(self, tab: Tab, choice: ModelChoice):
        self.tab, self.choice, self.stopped = tab, choice, False
        self.prompt = ui.textarea("Prompt").props("outlined autogrow").classes("w-full")
        self.prompt.on("keydown.ctrl.enter", self.generate).on("keydown.meta.enter", self.generate)
        self.examples = ui.column().classes("w-full")
        self.params = ParamInputs(tab.task, length=600, temperature=0.8)
        with ui.row().classes("actions"):
            self.write = ui.button("Write", on_click=self.generate)
            self.stop = ui.button("Stop", on_click=self.request_stop).props("flat")
            self.stop.disable()
        self.show_examples()
        choice.on_change(self.show_examples)

    def show_examples(self) -> None:
        """Enter the example prompt of the model, and show buttons with more example prompts."""
        champion = self.tab.find_champion(self.choice)
        prompts = read_prompts(champion)
        self.prompt.set_value(prompts[0] if prompts else "")
        self.prompt.classes(add="code" if is_code(champion) else "", remove="" if is_code(champion) else "code")
        self.examples.clear()
        with self.examples:
            add_text_examples(prompts, self.prompt.set_value)

    def request_stop(self) -> None:
        self.stopped = True

    async def generate(self) -> None:
        """Generate and show text until the text has the selected length, or the visitor clicks Stop or disconnects."""
        if not self.write.enabled:
            return
        self.stopped = False
        self.write.disable()
        self.stop.enable()
        try:
            await self.answers.request(self.respond)
        finally:
            self.write.enable()
            self.stop.disable()

    async def respond(self, version: Champion, panel: GeneratedText) -> str:
        """Show the text of a version while it is generated."""
        client, prompt, params = ui.context.client, self.tab.check_text(self.prompt.value), self.params.read_values()
        panel.begin(prompt, is_code(version))
        pieces = version.model.iterate("stream", pd.DataFrame({"prompt": [prompt]}), params)
        async with aclosing(self.tab.stream(version, pieces)) as texts:
            async for text in texts:
                if self.stopped or not client.has_socket_connection:
                    break
                panel.add(text)
        unknown = find_unknown_characters(prompt, version.model.facts)
        warning = f"The training text does not contain {' '.join(unknown)}. " if unknown else ""
        return f"{warning}{panel.count_characters():,} characters{', stopped' if self.stopped else ''}"


def read_prompts(champion: Champion) -> list[str]:
    """Return the example prompt of the version, and lines of the test text if this machine has the dataset."""
    prompt = str((champion.example or {}).get("prompt", ""))
    prompts = [prompt[: prompt.rfind("\n") + 1] or prompt]  # without an incomplete last line
    test = PROCESSED / champion.name / "test.txt"
    if test.is_file():
        with test.open(encoding="utf-8") as file:
            lines = [f"{line}\n" for line in split_lines(file.read(10_000)) if line.strip()]
        chosen = np.linspace(0, max(0, len(lines) - 2), EXAMPLE_LINES).astype(int)
        prompts += [lines[number] for number in chosen] if lines else []
    return [prompt for prompt in dict.fromkeys(prompts) if prompt]


def is_code(champion: Champion) -> bool:
    """Return whether the model was trained on source code, which needs a monospaced font."""
    return set("=_()") <= set(champion.model.facts.get("alphabet", ""))
