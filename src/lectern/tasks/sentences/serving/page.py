"""Build the page tab on which visitors write a sentence and see its classes while they write."""

import html
from collections.abc import Sequence

import pandas as pd
from nicegui import ui

from lectern.serving.champions import Champion
from lectern.serving.model_choice import ModelChoice
from lectern.serving.newest_input import NewestInput
from lectern.serving.page_answers import Answers
from lectern.serving.page_examples import add_text_examples
from lectern.serving.page_tab import Tab

TITLE, ICON, ORDER = "Sentences", "short_text", 5
DESCRIPTION = (
    "Write a sentence, and the network classifies it while you write. The colors show which words mattered for the"
    " predicted class."
)
BASELINE = "always predict the most frequent class"
TRAINING_ITEMS = "items: sentences"
EMPTY_NOTE = "No sentence has been classified yet."
MAX_EXAMPLE_CHARACTERS = 80
TYPING_DELAY_MS = 250  # wait for a pause in the typing before a request is sent
METHODS = {
    "attention": "A darker word has a larger attention weight.",
    "occlusion": "Blue words speak for the predicted class, and orange words against it: the probability falls or rises"
    " if the word is replaced by an unknown word.",
}


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.element("div").classes("two-columns"):
        with ui.column().classes("card"):
            choice = tab.add_model_choice()
            form = SentenceForm(tab, choice)
        form.answers = Answers(choice, ClassesPanel, EMPTY_NOTE)


class SentenceForm:
    """A text field and example sentences. The newest text is classified."""

    answers: "Answers[ClassesPanel]"

    def __init__(self, tab: Tab, choice: ModelChoice):
        self.tab, self.choice = tab, choice
        self.newest = NewestInput(self.answer_newest)
        self.text = ui.textarea("Text", on_change=self.classify)
        self.text.props(f"outlined autogrow debounce={TYPING_DELAY_MS}").classes("w-full")
        self.examples = ui.column().classes("w-full")
        self.show_examples()
        choice.on_change(self.show_examples)
        choice.on_change(self.classify)
        choice.compare.on_value_change(self.classify)

    def show_examples(self) -> None:
        """Show a button for each example sentence of the model."""
        self.examples.clear()
        with self.examples:
            add_text_examples(self.tab.read_sentences(self.choice, "text", MAX_EXAMPLE_CHARACTERS), self.text.set_value)

    async def classify(self) -> None:
        """Classify the newest text. If a classification is in progress, the newest text is classified next."""
        await self.newest.change()

    async def answer_newest(self) -> None:
        if (self.text.value or "").strip():
            await self.answers.request(self.respond)
        else:
            self.answers.clear()

    async def respond(self, version: Champion, panel: "ClassesPanel") -> str:
        """Show the classes of the text and the importance of its words. Return a note about unknown words."""
        text = self.tab.check_text(self.text.value)
        rows = await self.tab.predict(version, pd.DataFrame({"text": [text]}))
        importance = await self.tab.run_inference(version, explain, text)
        panel.show(rows.iloc[0]["probabilities"], *importance)
        share = rows.iloc[0]["unknown_share"]
        return f"{share:.0%} of the words do not occur in the training sentences" if share else ""


class ClassesPanel:
    """A panel with one bar per class, and the words of the sentence on coloured backgrounds."""

    def __init__(self) -> None:
        self.prediction = ui.label().classes("prediction-name").props("role=status").mark("prediction")
        self.bars = ui.html("", sanitize=False).classes("w-full")
        self.words = ui.html("", sanitize=False).classes("w-full")
        self.clear()

    def show(self, probabilities: dict[str, float], words: Sequence[str], values: Sequence[float], method: str) -> None:
        self.prediction.set_text(max(probabilities, key=lambda name: probabilities[name]))
        self.bars.set_content(format_bars(probabilities))
        self.words.set_content(format_words(words, values, method))

    def clear(self) -> None:
        self.prediction.set_text("")
        self.bars.set_content("")
        self.words.set_content("")


def explain(version: Champion, text: str) -> tuple[list[str], list[float], str]:
    """Return the words of a text, the importance of each word, and the method that computed the importance."""
    importance: tuple[list[str], list[float], str] = version.model.call("word_importance", text)
    return importance


def format_bars(probabilities: dict[str, float]) -> str:
    """Return HTML with one bar per class."""
    best = max(probabilities.values())
    rows = (
        f'<span>{html.escape(name)}</span><div class="track"><div class="bar{" best" if value == best else ""}" '
        f'style="width: {100 * value:.2f}%"></div></div><span class="percentage">{100 * value:.1f} %</span>'
        for name, value in probabilities.items()
    )
    return f'<div class="class-bars" role="group" aria-label="Probability of each class">{"".join(rows)}</div>'


def format_words(words: Sequence[str], values: Sequence[float], method: str) -> str:
    """Return HTML with the words of a sentence. The backgrounds show the importance of each word."""
    largest = max(max(map(abs, values), default=0.0), 1e-9)
    marks = " ".join(
        f'<span class="{"against" if value < 0 else "for"}" style="--strength: {100 * abs(value) / largest:.0f}"'
        f' title="{value:+.3f}">{html.escape(word)}</span>'
        for word, value in zip(words, values, strict=True)
    )
    return f'<p class="words">{marks}</p><p class="note">{METHODS[method]}</p>'
