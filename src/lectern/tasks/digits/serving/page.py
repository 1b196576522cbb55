"""A drawing to bars of ten probabilities, and to what the network saw of it."""

import base64
import io

import numpy as np
from nicegui import ui
from PIL import Image

from lectern.serving.page_tab import Tab, answered_by
from lectern.tasks.digits.serving.canvas import Canvas
from lectern.tasks.digits.serving.drawing import to_mnist_image

TITLE, ICON, ORDER = "Digits", "draw", 1
ASKS = "Draw a digit and press Classify. The network sees it as it saw its lessons: 28 by 28 pixels, centred."
BLANK = '<div class="seen blank"></div>'


def build(tab: Tab) -> None:
    """The tab of one visitor."""
    with ui.element("div").classes("pair"):
        with ui.column().classes("card"):
            model = tab.choose()
            canvas = Canvas()
            with ui.row().classes("actions"):
                button = ui.button("Classify", on_click=lambda: classify())
                ui.button("Reset", on_click=lambda: reset()).props("flat")
        with ui.column().classes("card"):
            answer = Answer()

    async def classify() -> None:
        with tab.working(button):
            champion = tab.champion(model.value)
            seen = await tab.run(to_mnist_image, await canvas.picture(tab.settings.megapixels))
            probabilities = await tab.ask(champion, seen[None])
            answer.show(probabilities[0], seen, answered_by(champion))

    def reset() -> None:
        canvas.clear_paper()
        answer.clear()


class Answer:
    """The likeliest digit, what was seen, and a bar a digit."""

    def __init__(self):
        with ui.row().classes("answered"):
            self.seen = ui.html(BLANK, sanitize=False)
            with ui.column().classes("gap-1"):
                self.verdict = ui.label().classes("verdict").mark("verdict")
                self.by = ui.label("Nothing is classified yet.").classes("note").props("aria-live=polite")
        self.rows = []
        with ui.element("div").classes("bars"):
            for digit in range(10):
                ui.label(str(digit))
                with ui.element("div").classes("track"):
                    bar = ui.element("div").classes("bar")
                self.rows.append((bar, ui.label("").classes("share")))

    def show(self, probabilities: np.ndarray, seen: np.ndarray, by: str) -> None:
        best = int(probabilities.argmax())
        self.verdict.set_text(str(best))
        self.by.set_text(by)
        self.seen.set_content(f'<img class="seen" alt="what the network saw" src="{address(seen)}">')
        for digit, (bar, share) in enumerate(self.rows):
            bar.style(f"width: {100 * probabilities[digit]:.2f}%")
            bar.classes("best") if digit == best else bar.classes(remove="best")
            share.set_text(f"{100 * probabilities[digit]:.1f} %")

    def clear(self) -> None:
        self.verdict.set_text("")
        self.by.set_text("Nothing is classified yet.")
        self.seen.set_content(BLANK)
        for bar, share in self.rows:
            bar.style("width: 0%").classes(remove="best")
            share.set_text("")


def address(seen: np.ndarray) -> str:
    """The 28x28 image as an address that a browser can show: the very pixels, so a test can ask with them."""
    file = io.BytesIO()
    Image.fromarray(seen).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
