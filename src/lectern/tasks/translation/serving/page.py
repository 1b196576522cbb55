"""Build the page tab on which visitors translate a sentence and see the attention weights."""

import html

import pandas as pd
from nicegui import ui

from lectern.serving.champions import Champion
from lectern.serving.copy_button import add_copy_button
from lectern.serving.model_choice import ModelChoice
from lectern.serving.page_answers import Answers
from lectern.serving.page_examples import add_text_examples
from lectern.serving.page_params import ParamInputs
from lectern.serving.page_tab import Tab
from lectern.serving.score_text import format_score
from lectern.tasks.translation.serving.attention_map import AttentionPanel
from lectern.tasks.translation.serving.word_attention import WordAttention

TITLE, ICON, ORDER = "Translation", "translate", 3
DESCRIPTION = (
    "Enter a sentence and press Translate or Ctrl+Enter. If the network has attention, a map shows how much each word"
    " of the translation depends on each word of the sentence."
)
BASELINE = "copy the sentence, or translate it word by word, whichever is better"
TRAINING_ITEMS = "items: sentence pairs"
EMPTY_NOTE = "No sentence has been translated yet."
MAX_EXAMPLE_CHARACTERS = 60


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.element("div").classes("two-columns"):
        with ui.column().classes("card"):
            choice = tab.add_model_choice()
            form = SentenceForm(tab, choice)
        form.answers = Answers(choice, TranslationPanel, EMPTY_NOTE, "Translating …")


class SentenceForm:
    """A form for the sentence and the parameters."""

    answers: "Answers[TranslationPanel]"

    def __init__(self, tab: Tab, choice: ModelChoice):
        self.tab, self.choice = tab, choice
        self.source = ui.textarea("Sentence").props("outlined autogrow").classes("w-full")
        self.source.on("keydown.ctrl.enter", self.translate).on("keydown.meta.enter", self.translate)
        self.examples = ui.column().classes("w-full")
        self.params = ParamInputs(tab.task, n_best=3)
        self.button = ui.button("Translate", on_click=self.translate)
        self.show_examples()
        choice.on_change(self.show_examples)

    def show_examples(self) -> None:
        """Enter the first example sentence of the model, and show a button for each example sentence."""
        sentences = self.tab.read_sentences(self.choice, "source", MAX_EXAMPLE_CHARACTERS)
        self.source.set_value(sentences[0] if sentences else "")
        self.examples.clear()
        with self.examples:
            add_text_examples(sentences, self.source.set_value)

    async def translate(self) -> None:
        await self.answers.request(self.respond, self.button)

    async def respond(self, version: Champion, panel: "TranslationPanel") -> str:
        """Show the translations of a version, and the attention weights of the best translation."""
        text, params = self.tab.check_text(self.source.value), self.params.read_values()
        translations = await self.tab.predict(version, pd.DataFrame({"source": [text]}), params)
        attention = await self.tab.run_inference(version, explain, text, params["beam"])
        panel.show(translations, attention)
        return ""


class TranslationPanel:
    """A panel with the translations, the best translation first, and the map of the attention weights."""

    def __init__(self) -> None:
        self.table = ui.html("", sanitize=False).classes("w-full").props("role=status")
        self.copy = add_copy_button(self.table, ".target")
        self.attention = AttentionPanel()
        self.clear()

    def show(self, translations: pd.DataFrame, attention: WordAttention | None) -> None:
        self.table.set_content(translation_table(translations))
        self.copy.set_visibility(True)
        self.copy.set_text("Copy")
        self.attention.show(attention)

    def clear(self) -> None:
        self.table.set_content("")
        self.copy.set_visibility(False)
        self.attention.show(None)


def explain(version: Champion, text: str, beam: int) -> WordAttention | None:
    """Return the attention weights between words for the best translation, or None for a network without attention."""
    attention = version.model.call("word_attention", text, beam)
    return None if attention is None else WordAttention(*attention)


def translation_table(translations: pd.DataFrame) -> str:
    """Return an HTML table of translations and scores."""
    rows = (
        f'<tr><td class="target">{html.escape(row.target)}</td><td class="score">{format_score(row.score)}</td></tr>'
        for row in translations.itertuples()
    )
    head = "<tr><th scope=col>Translation, best first</th><th scope=col>Log-probability per token</th></tr>"
    return f'<table class="translations"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'
