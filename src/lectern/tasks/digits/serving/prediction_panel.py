"""Show the predicted digit, the input image of the network and one bar per digit."""

import base64
import io

import numpy as np
from nicegui import ui
from PIL import Image

EMPTY_INPUT = '<div class="network-input blank"></div>'


class PredictionPanel:
    """A panel with the prediction of one version."""

    def __init__(self) -> None:
        with ui.row().classes("result"):
            self.input = ui.html(EMPTY_INPUT, sanitize=False)
            self.prediction = ui.label().classes("prediction").props("role=status").mark("prediction")
        self.rows = []
        with ui.element("div").classes("bars").props('role=group aria-label="Probability of each digit"'):
            for digit in range(10):
                ui.label(str(digit))
                with ui.element("div").classes("track"):
                    bar = ui.element("div").classes("bar")
                self.rows.append((bar, ui.label("").classes("percentage")))

    def show(self, probabilities: np.ndarray, image: np.ndarray) -> None:
        best = int(probabilities.argmax())
        self.prediction.set_text(str(best))
        self.input.set_content(f'<img class="network-input" alt="Input of the network" src="{to_data_url(image)}">')
        for digit, (bar, percentage) in enumerate(self.rows):
            bar.style(f"width: {100 * probabilities[digit]:.2f}%")
            bar.classes("best") if digit == best else bar.classes(remove="best")
            percentage.set_text(f"{100 * probabilities[digit]:.1f} %")

    def clear(self) -> None:
        self.prediction.set_text("")
        self.input.set_content(EMPTY_INPUT)
        for bar, percentage in self.rows:
            bar.style("width: 0%").classes(remove="best")
            percentage.set_text("")


def to_data_url(image: np.ndarray) -> str:
    """Return an image as a data URL with a PNG file. PNG keeps the exact pixel values."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
