"""Build the page tab on which visitors draw a digit and see the prediction."""

import base64
import io

import numpy as np
from nicegui import ui
from PIL import Image

from lectern.serving.page_tab import Tab, version_note
from lectern.tasks.digits.serving.canvas import Canvas
from lectern.tasks.digits.serving.drawing import to_mnist_image

TITLE, ICON, ORDER = "Digits", "draw", 1
DESCRIPTION = "Draw a digit and press Classify. The network receives the drawing as a centered image of 28x28 pixels."
EMPTY_INPUT = '<div class="network-input blank"></div>'
EMPTY_NOTE = "No drawing has been classified yet."


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.element("div").classes("two-columns"):
        with ui.column().classes("card"):
            model = tab.model_select()
            canvas = Canvas()
            with ui.row().classes("actions"):
                button = ui.button("Classify", on_click=lambda: classify())
                ui.button("Reset", on_click=lambda: reset()).props("flat")
        with ui.column().classes("card"):
            panel = PredictionPanel()

    async def classify() -> None:
        with tab.show_progress(button):
            champion = tab.champion(model.value)
            image = await tab.run_short(to_mnist_image, await canvas.read_drawing(tab.settings.max_megapixels))
            probabilities = await tab.predict(champion, image[None])
            panel.show(probabilities[0], image, version_note(champion))

    def reset() -> None:
        canvas.clear_drawing()
        panel.clear()


class PredictionPanel:
    """A panel with the predicted digit, the input image of the network and one bar per digit."""

    def __init__(self) -> None:
        with ui.row().classes("result"):
            self.input = ui.html(EMPTY_INPUT, sanitize=False)
            with ui.column().classes("gap-1"):
                self.prediction = ui.label().classes("prediction").mark("prediction")
                self.note = ui.label(EMPTY_NOTE).classes("note").props("aria-live=polite")
        self.rows = []
        with ui.element("div").classes("bars"):
            for digit in range(10):
                ui.label(str(digit))
                with ui.element("div").classes("track"):
                    bar = ui.element("div").classes("bar")
                self.rows.append((bar, ui.label("").classes("percentage")))

    def show(self, probabilities: np.ndarray, image: np.ndarray, note: str) -> None:
        best = int(probabilities.argmax())
        self.prediction.set_text(str(best))
        self.note.set_text(note)
        self.input.set_content(f'<img class="network-input" alt="input of the network" src="{to_data_url(image)}">')
        for digit, (bar, percentage) in enumerate(self.rows):
            bar.style(f"width: {100 * probabilities[digit]:.2f}%")
            bar.classes("best") if digit == best else bar.classes(remove="best")
            percentage.set_text(f"{100 * probabilities[digit]:.1f} %")

    def clear(self) -> None:
        self.prediction.set_text("")
        self.note.set_text(EMPTY_NOTE)
        self.input.set_content(EMPTY_INPUT)
        for bar, percentage in self.rows:
            bar.style("width: 0%").classes(remove="best")
            percentage.set_text("")


def to_data_url(image: np.ndarray) -> str:
    """Return an image as a data URL with a PNG file. PNG keeps the exact pixel values."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
