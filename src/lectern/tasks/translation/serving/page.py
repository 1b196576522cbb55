"""A sentence to its likeliest translations, and to a map of where the network looked for each word."""

import html

import numpy as np
import pandas as pd
from nicegui import ui

from lectern.serving.champions import Champion
from lectern.serving.page_tab import Tab, answered_by
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.serving.attention import Looks, look

TITLE, ICON, ORDER = "Translation", "translate", 3
ASKS = "Type a sentence. Where the network has attention, the map shows which words it looked at for each it wrote."
ALL = "mean"


def build(tab: Tab) -> None:
    """The tab of one visitor."""
    with ui.column().classes("card"):
        model = tab.choose()
        source = ui.textarea("Sentence", value=example(tab, model.value)).props("outlined autogrow").classes("w-full")
        with ui.row().classes("actions"):
            beam = ui.select([1, 2, 5, 10], value=5, label="Beam").props("outlined dense").style("width: 90px")
            best = ui.select([1, 3, 5], value=3, label="Shown").props("outlined dense").style("width: 90px")
            button = ui.button("Translate", on_click=lambda: translate())
    with ui.column().classes("card") as results:
        found = ui.html("", sanitize=False).classes("w-full")
        note = ui.label().classes("note").props("aria-live=polite")
    results.set_visibility(False)
    attention = Attention()
    model.on_value_change(lambda: source.set_value(example(tab, model.value)))

    async def translate() -> None:
        with tab.working(button):
            champion = tab.champion(model.value)
            params = {"beam": beam.value, "n_best": min(best.value, beam.value)}
            text = tab.checked(source.value)
            answered = await tab.ask(champion, pd.DataFrame({"source": [text]}), params)
            found.set_content(tabulate(answered))
            note.set_text(answered_by(champion))
            results.set_visibility(True)
            attention.show(await tab.work(champion, look_at, text, beam.value))


def example(tab: Tab, name: str) -> str:
    """A sentence of the kind that the model was taught on: the one that its version carries."""
    return (tab.champion(name).example or {}).get("source", "")


def look_at(champion: Champion, text: str, beam: int) -> Looks | None:
    """Where it looked for the best translation."""
    prepared = prepare([text], champion.module.facts)[0]
    return look(champion.module, prepared, champion.module.translate([prepared], beam)[0][0].words)


def tabulate(answered: pd.DataFrame) -> str:
    rows = (
        f'<tr><td class="target">{html.escape(row.target)}</td><td class="score">{row.score:.3f}</td></tr>'
        for row in answered.itertuples()
    )
    return f'<table class="found" aria-label="Translations, the best first">{"".join(rows)}</table>'


class Attention:
    """The map, of one layer and head or the mean of them."""

    def __init__(self):
        self.looks: Looks | None = None
        with ui.column().classes("card") as self.card:
            ui.label("Where it looked").classes("title")
            with ui.row().classes("actions") as self.choices:
                self.layer = ui.select([ALL], value=ALL, label="Layer").props("outlined dense").style("width: 110px")
                self.head = ui.select([ALL], value=ALL, label="Head").props("outlined dense").style("width: 110px")
            self.map = ui.html("", sanitize=False).classes("map")
        self.card.set_visibility(False)
        for choice in (self.layer, self.head):
            choice.on_value_change(self.draw)

    def show(self, looks: Looks | None) -> None:
        self.looks = looks
        self.card.set_visibility(looks is not None)
        if looks is None:
            return
        for choice, count in zip((self.layer, self.head), looks.weights.shape, strict=False):
            options = [ALL, *range(1, count + 1)]
            choice.set_options(options, value=choice.value if choice.value in options else ALL)
        self.choices.set_visibility(looks.weights.shape[:2] != (1, 1))
        self.draw()

    def draw(self) -> None:
        if self.looks is not None:
            weights = pick(pick(self.looks.weights, self.layer.value), self.head.value)
            self.map.set_content(draw(self.looks, weights))


def pick(weights: np.ndarray, which: int | str) -> np.ndarray:
    """One of the first axis, counted from 1, or the mean over it."""
    return weights.mean(0) if which == ALL else weights[which - 1]


def draw(looks: Looks, weights: np.ndarray) -> str:
    """A table: down what was written, across what was read, dark where it looked."""
    head = "".join(f"<th scope=col><span>{html.escape(word)}</span></th>" for word in looks.read)
    lines = (
        f"<tr><th scope=row>{html.escape(word)}</th>{''.join(map(cell, row))}</tr>"
        for word, row in zip(looks.written, weights, strict=True)
    )
    return f'<table class="heat"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def cell(weight: float) -> str:
    percent = round(100 * float(weight))
    shown = percent if percent >= 10 else ""
    deep = "deep" if percent > 75 else "middling" if percent > 55 else ""
    return f'<td class="{deep}" style="--look: {percent}" title="{percent} %">{shown}</td>'
