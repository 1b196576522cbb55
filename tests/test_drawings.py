"""Test the conversion of drawings to images in the style of MNIST."""

import numpy as np
import pytest
from PIL import Image

from drawn_digits import draw_digit
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import IMAGE_SIZE
from lectern.tasks.digits.serving.drawing import to_mnist_image
from lectern.user_files.displayed_image import displayed_image


def center_of_mass(image: np.ndarray) -> np.ndarray:
    coordinates = np.arange(IMAGE_SIZE) + 0.5
    return np.array([(image.sum(axis) * coordinates).sum() / image.sum() for axis in (1, 0)])


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return abs(first.astype(int) - second.astype(int))


@pytest.mark.parametrize("digit", range(10))
def test_digit_is_resized_to_twenty_pixels_and_centered_by_mass(digit):
    for number in range(20):
        image = to_mnist_image(draw_digit(digit, number))
        assert image.shape == (IMAGE_SIZE, IMAGE_SIZE) and image.dtype == np.uint8 and image.max() == 255
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        # A faint edge of the digit can be rounded to 0.
        assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 in (19, 20)
        assert (abs(center_of_mass(image) - IMAGE_SIZE / 2) <= 1.2).all()


def test_position_and_size_of_the_drawing_make_little_difference():
    drawing = draw_digit(3, 4).convert("L")
    small = Image.new("L", (900, 700), 255)
    small.paste(drawing.resize((280, 280)), (500, 60))
    assert difference(to_mnist_image(small), to_mnist_image(drawing)).mean() < 6


def test_light_ink_on_a_dark_background_and_colors_make_little_difference():
    black_on_white = to_mnist_image(draw_digit(5, 7))
    for ink, background in (("white", "black"), ("navy", "khaki"), ("gold", "purple")):
        image = to_mnist_image(draw_digit(5, 7, ink, background))
        assert difference(image, black_on_white).max() <= 16, ink


def test_transparent_background_is_treated_as_white():
    drawing = draw_digit(2, 3)
    transparent = Image.new("RGBA", drawing.size, (0, 0, 0, 0))
    transparent.putalpha(drawing.convert("L").point(lambda gray: 255 - gray))
    assert difference(to_mnist_image(displayed_image(transparent)), to_mnist_image(drawing)).max() <= 2


def test_image_of_the_dataset_is_not_changed(digits):
    image = np.load(digits / "test_images.npy")[0]
    assert np.array_equal(to_mnist_image(Image.fromarray(image)), image)


@pytest.mark.parametrize("gray", [0, 120, 255])
def test_blank_picture_is_an_error(gray):
    with pytest.raises(UserError, match="Nothing is drawn"):
        to_mnist_image(Image.new("L", (300, 300), gray))


@pytest.mark.slow
def test_mnist_network_classifies_at_least_95_percent_of_200_drawings(mnist_champion):
    """The drawings have two handwritings, four pen widths, five sizes and random positions."""
    labels = np.repeat(np.arange(10), 20)
    images = np.stack([to_mnist_image(draw_digit(digit, number)) for digit in range(10) for number in range(20)])
    predictions = model_folder.load_model(mnist_champion).predict(images).argmax(1)
    mistakes = [f"{label} as {digit}" for label, digit in zip(labels, predictions, strict=True) if label != digit]
    assert len(mistakes) <= 10, mistakes
