"""Show a map of the attention weights between the words of a sentence and the words of its translation."""

import html

import numpy as np
from nicegui import ui

from lectern.tasks.translation.serving.word_attention import WordAttention

MEAN = "mean"
EXPLANATION = (
    "One row per word of the translation and one column per word of the sentence. The numbers of a row sum to 100."
)


class AttentionPanel:
    """A panel that shows a map of the attention weights, with menus for the layer and the head."""

    def __init__(self) -> None:
        self.attention: WordAttention | None = None
        with ui.column().classes("attention") as self.card:
            with ui.element("h2").classes("title"):
                ui.label("Attention weights (%)")
            ui.label(EXPLANATION).classes("note")
            with ui.row().classes("actions") as self.menus:
                self.layer = ui.select([MEAN], value=MEAN, label="Layer").props("outlined dense").style("width: 110px")
                self.head = ui.select([MEAN], value=MEAN, label="Head").props("outlined dense").style("width: 110px")
            self.map = ui.html("", sanitize=False).classes("map")
            self.map.props('tabindex=0 role=region aria-label="Map of the attention weights"')
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
    return f'<table class="heat"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def weight_cell(weight: float) -> str:
    """Return an HTML table cell whose background is darker for larger weights.

    The cell contains the weight in percent if the weight is at least 10 %. The classes select a color of the text that
    has enough contrast in both themes.
    """
    percent = round(100 * float(weight))
    label = percent if percent >= 10 else f'<span class="visually-hidden">{percent}</span>'
    strength = "strong" if percent > 80 else "medium" if percent > 55 else ""
    return f'<td class="weight {strength}" style="--weight: {percent}" title="{percent} %">{label}</td>'
