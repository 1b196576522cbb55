"""A drawing becomes what the network was taught on, wherever it stands on the paper and however thick the pen."""

import numpy as np
import pytest
from PIL import Image

from drawn_digits import draw
from lectern.artifacts import model_folder
from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import SIDE
from lectern.tasks.digits.serving.drawing import to_mnist_image


def mass_centre(image: np.ndarray) -> np.ndarray:
    places = np.arange(SIDE) + 0.5
    return np.array([(image.sum(axis) * places).sum() / image.sum() for axis in (1, 0)])


@pytest.mark.parametrize("digit", range(10))
def test_a_drawing_is_fitted_to_twenty_pixels_and_centred_by_its_mass(digit):
    for number in range(20):
        seen = to_mnist_image(draw(digit, number))
        assert seen.shape == (SIDE, SIDE) and seen.dtype == np.uint8 and seen.max() == 255
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 in (19, 20)  # a faint edge may round to nothing
        assert (abs(mass_centre(seen) - SIDE / 2) <= 1.2).all()


def test_where_it_stands_and_how_large_it_is_make_no_difference():
    small = Image.new("L", (900, 700), 255)
    drawing = draw(3, 4).convert("L")
    small.paste(drawing.resize((280, 280)), (500, 60))
    difference = abs(to_mnist_image(small).astype(int) - to_mnist_image(drawing).astype(int))
    assert difference.mean() < 6


def test_light_ink_on_dark_paper_and_colours_are_seen_alike():
    black = to_mnist_image(draw(5, 7)).astype(int)
    for ink, paper in (("white", "black"), ("navy", "khaki"), ("gold", "purple")):
        assert abs(to_mnist_image(draw(5, 7, ink, paper)).astype(int) - black).max() <= 16, ink


def test_a_transparent_paper_is_white():
    drawing = draw(2, 3)
    alpha = drawing.convert("L").point(lambda grey: 255 - grey)
    clear = Image.new("RGBA", drawing.size, (0, 0, 0, 0))
    clear.putalpha(alpha)
    assert abs(to_mnist_image(clear).astype(int) - to_mnist_image(drawing).astype(int)).max() <= 2


def test_an_image_of_the_data_set_is_taken_as_it_is(digits):
    image = np.load(digits / "test_images.npy")[0]
    assert np.array_equal(to_mnist_image(Image.fromarray(image)), image)


@pytest.mark.parametrize("grey", [0, 120, 255])
def test_a_blank_paper_is_told(grey):
    with pytest.raises(UserError, match="Nothing is drawn"):
        to_mnist_image(Image.new("L", (300, 300), grey))


@pytest.mark.slow
def test_drawn_digits_are_told_apart_by_the_network_of_the_lecture(mnist_champion):
    """At least 95 of 100, of 200 drawings in two hands, four widths, five sizes, anywhere on the paper."""
    wanted = np.repeat(np.arange(10), 20)
    seen = np.stack([to_mnist_image(draw(digit, number)) for digit in range(10) for number in range(20)])
    told = model_folder.load_model(mnist_champion).predict(seen).argmax(1)
    wrong = [f"{digit} read as {said}" for digit, said in zip(wanted, told, strict=True) if digit != said]
    assert len(wrong) <= 10, wrong
