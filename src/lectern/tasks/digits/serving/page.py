"""Build the page tab on which visitors draw a digit and see the prediction while they draw."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from nicegui import events, ui

from lectern.artifacts.paths import PROCESSED
from lectern.errors import UserError
from lectern.serving.champions import Champion
from lectern.serving.model_choice import ModelChoice
from lectern.serving.newest_input import NewestInput
from lectern.serving.page_answers import Answers
from lectern.serving.page_tab import Tab
from lectern.serving.page_upload import add_upload_button, saved_upload
from lectern.tasks.digits.serving.canvas import Canvas, read_drawing
from lectern.tasks.digits.serving.drawing import to_mnist_image
from lectern.tasks.digits.serving.prediction_panel import PredictionPanel, to_data_url
from lectern.user_files.images import read_image

TITLE, ICON, ORDER = "Digits", "draw", 1
DESCRIPTION = (
    "Draw a digit, upload a picture or choose an example. The network receives a centered image of 28x28 pixels, and"
    " classifies it while you draw."
)
BASELINE = "always predict the most frequent digit"
TRAINING_ITEMS = "items: images"
EMPTY_NOTE = "No digit has been classified yet."
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
EXAMPLES_READ = 200  # test images among which the examples are searched


def build_tab(tab: Tab) -> None:
    """Build the page tab for one visitor."""
    with ui.element("div").classes("two-columns"):
        with ui.column().classes("card"):
            choice = tab.add_model_choice()
            form = DigitForm(tab, choice)
        form.answers = Answers(choice, PredictionPanel, EMPTY_NOTE)


class DigitForm:
    """The canvas, the buttons and the example images. The newest picture is classified."""

    answers: Answers[PredictionPanel]

    def __init__(self, tab: Tab, choice: ModelChoice):
        self.tab, self.choice = tab, choice
        self.read_newest: Callable[[], np.ndarray] | None = None
        self.newest = NewestInput(self.answer_newest)
        self.canvas = Canvas(self.classify_drawing)
        with ui.row().classes("actions"):
            ui.button("Undo", icon="undo", on_click=self.canvas.undo_stroke).props("flat")
            ui.button("Reset", icon="delete_outline", on_click=self.reset).props("flat")
            add_upload_button("Upload a picture", PICTURES, tab.settings, self.classify_upload)
        self.examples = ui.row().classes("examples").props('role=group aria-label="Examples"')
        self.add_examples()
        choice.on_change(self.add_examples)
        choice.on_change(self.classify)
        choice.compare.on_value_change(self.classify)

    def add_examples(self) -> None:
        """Show a button with a picture for each example."""
        self.examples.clear()
        with self.examples:
            ui.label("Examples").classes("note")
            for number, image in enumerate(read_examples(self.tab, self.choice), 1):
                with ui.button(on_click=partial(self.classify_image, image)).props("flat dense") as button:
                    button.props(f'aria-label="Example {number}"').classes("example-digit")
                    ui.element("img").props(f'alt="" src="{to_data_url(image)}"')

    async def classify_drawing(self, data_url: str) -> None:
        """Classify the drawing. If an undo has removed the last stroke, remove the answer."""
        if not data_url:
            self.read_newest = None
            self.answers.clear()
            return
        megapixels = self.tab.settings.max_megapixels
        await self.classify_newest(lambda: to_mnist_image(read_drawing(data_url, megapixels)))

    async def classify_image(self, image: np.ndarray) -> None:
        self.canvas.clear_drawing()
        await self.classify_newest(lambda: image)

    async def classify_upload(self, event: events.UploadEventArguments) -> None:
        self.canvas.clear_drawing()
        async with saved_upload(event) as path:
            picture = await self.tab.run_short(read_picture_or_error, path, self.tab.settings.max_megapixels)
        await self.classify_newest(lambda: raise_error(picture))

    async def classify_newest(self, read: Callable[[], np.ndarray]) -> None:
        self.read_newest = read
        await self.classify()

    async def classify(self) -> None:
        """Classify the newest picture. If a classification is in progress, the newest picture is classified next."""
        await self.newest.change()

    async def answer_newest(self) -> None:
        if self.read_newest is not None:
            await self.answers.request(self.respond)
        if self.read_newest is None:  # the drawing can be reset during the request
            self.answers.clear()

    async def respond(self, version: Champion, panel: PredictionPanel) -> str:
        """Show the prediction of a version for the newest picture."""
        if self.read_newest is not None:
            image = await self.tab.run_short(self.read_newest)
            probabilities = await self.tab.predict(version, image[None])
            panel.show(probabilities[0], image)
        return ""

    def reset(self) -> None:
        self.canvas.clear_drawing()
        self.read_newest = None
        self.answers.clear()


def read_picture_or_error(path: Path, megapixels: float) -> np.ndarray | UserError:
    """Return the digit in an uploaded picture, or the error, which `DigitForm` shows in place of the answer."""
    try:
        return to_mnist_image(read_image(path, megapixels))
    except UserError as error:
        return error


def raise_error(picture: np.ndarray | UserError) -> np.ndarray:
    if isinstance(picture, UserError):
        raise picture
    return picture


def read_examples(tab: Tab, choice: ModelChoice) -> list[np.ndarray]:
    """Return one test image per digit. If this machine does not have the dataset, return the input example."""
    folder = PROCESSED / choice.name
    images, labels = folder / "test_images.npy", folder / "test_labels.npy"
    if not (images.is_file() and labels.is_file()):
        return [np.array(row, np.uint8) for row in tab.read_input_example(choice)]
    _, first = np.unique(np.load(labels, mmap_mode="r")[:EXAMPLES_READ], return_index=True)
    return [np.array(image) for image in np.load(images, mmap_mode="r")[first]]
