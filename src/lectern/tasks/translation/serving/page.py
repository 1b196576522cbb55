"""Build the page tab on which visitors translate a sentence and see the attention weights."""

import html

import numpy as np
import pandas as pd
from nicegui import ui

from lectern.serving.champions import Champion
from lectern.serving.page_tab import Tab, version_note
from lectern.tasks.translation.serving.word_attention import WordAttention

TITLE, ICON, ORDER = "Translation", "translate", 3
DESCRIPTION = (
    "Type a sentence and press Translate. If the network has attention, a map shows how much each word of the "
    "translation depends on each word of the sentence."
)
MEAN = "mean"


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.column().classes("card"):
        model = tab.model_select()
        source = ui.textarea("Sentence", value=example_sentence(tab, model.value))
        source.props("outlined autogrow").classes("w-full")
        with ui.row().classes("actions"):
            beam = ui.select([1, 2, 5, 10], value=5, label="Beam").props("outlined dense").style("width: 90px")
            n_best = ui.select([1, 3, 5], value=3, label="Results").props("outlined dense").style("width: 90px")
            button = ui.button("Translate", on_click=lambda: translate())
    with ui.column().classes("card") as results:
        table = ui.html("", sanitize=False).classes("w-full")
        note = ui.label().classes("note").props("aria-live=polite")
    results.set_visibility(False)
    attention = AttentionPanel()
    model.on_value_change(lambda: source.set_value(example_sentence(tab, model.value)))

    async def translate() -> None:
        with tab.show_progress(button):
            champion = tab.champion(model.value)
            params = {"beam": beam.value, "n_best": min(n_best.value, beam.value)}
            text = tab.check_text(source.value)
            translations = await tab.predict(champion, pd.DataFrame({"source": [text]}), params)
            table.set_content(translation_table(translations))
            note.set_text(version_note(champion))
            results.set_visibility(True)
            attention.show(await tab.run_inference(champion, explain, text, beam.value))


def example_sentence(tab: Tab, name: str) -> str:
    """Return the example sentence that was registered with the model."""
    return (tab.champion(name).example or {}).get("source", "")


def explain(champion: Champion, text: str, beam: int) -> WordAttention | None:
    """Return the attention weights between words for the best translation, or None for a network without attention."""
    attention = champion.model.call("word_attention", text, beam)
    return None if attention is None else WordAttention(*attention)


def translation_table(translations: pd.DataFrame) -> str:
    """Return an HTML table of translations and scores."""
    rows = (
        f'<tr><td class="target">{html.escape(row.target)}</td><td class="score">{row.score:.3f}</td></tr>'
        for row in translations.itertuples()
    )
    return f'<table class="translations" aria-label="Translations, best first">{"".join(rows)}</table>'


class AttentionPanel:
    """A panel that shows a map of the attention weights, with menus for the layer and the head."""

    def __init__(self) -> None:
        self.attention: WordAttention | None = None
        with ui.column().classes("card") as self.card:
            ui.label("Attention weights (%)").classes("title")
            with ui.row().classes("actions") as self.menus:
                self.layer = ui.select([MEAN], value=MEAN, label="Layer").props("outlined dense").style("width: 110px")
                self.head = ui.select([MEAN], value=MEAN, label="Head").props("outlined dense").style("width: 110px")
            self.map = ui.html("", sanitize=False).classes("map")
        self.card.set_visibility(False)
        for menu in (self.layer, self.head):
            menu.on_value_change(self.draw)

    def show(self, attention: WordAttention | None) -> None:
        """Show the attention weights, or hide the panel if the network has no attention."""
        self.attention = attention
        self.card.set_visibility(attention is not None)
        if attention is None:
            return
        for menu, count in zip((self.layer, self.head), attention.weights.shape, strict=False):
            options = [MEAN, *range(1, count + 1)]
            menu.set_options(options, value=menu.value if menu.value in options else MEAN)
        self.menus.set_visibility(attention.weights.shape[:2] != (1, 1))
        self.draw()

    def draw(self) -> None:
        if self.attention is not None:
            weights = select_or_mean(select_or_mean(self.attention.weights, self.layer.value), self.head.value)
            self.map.set_content(attention_table(self.attention, weights))


def select_or_mean(weights: np.ndarray, choice: int | str) -> np.ndarray:
    """Return the weights at the index `choice` of the first axis, counted from 1.

    If `choice` is not a number, return the mean over the first axis.
    """
    selected: np.ndarray = weights[choice - 1] if isinstance(choice, int) else weights.mean(0)
    return selected


def attention_table(attention: WordAttention, weights: np.ndarray) -> str:
    """Return an HTML table of attention weights with one row per target word and one column per source word."""
    head = "".join(f"<th scope=col><span>{html.escape(word)}</span></th>" for word in attention.source)
    rows = (
        f"<tr><th scope=row>{html.escape(word)}</th>{''.join(map(weight_cell, row))}</tr>"
        for word, row in zip(attention.target, weights, strict=True)
    )
    return f'<table class="heat"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def weight_cell(weight: float) -> str:
    """Return an HTML table cell whose background is darker for larger weights.

    The cell contains the weight in percent if the weight is at least 10 %.
    """
    percent = round(100 * float(weight))
    label = percent if percent >= 10 else ""
    strength = "strong" if percent > 75 else "medium" if percent > 55 else ""
    return f'<td class="{strength}" style="--weight: {percent}" title="{percent} %">{label}</td>'
