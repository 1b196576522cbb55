"""Test the augmentation of digit images."""

import pytest
import torch

from drawn_digits import draw_digit
from lectern.tasks.digits.model.augmentation import random_affine, random_stroke_width
from lectern.tasks.digits.serving.drawing import to_mnist_image

NO_CHANGE = {"shift": 0.0, "rotate": 0.0, "scale": 0.0, "slant": 0.0}
ALL_CHANGES = {"shift": 2.0, "rotate": 10.0, "scale": 0.1, "slant": 0.3}


def make_images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def center_of_mass(image: torch.Tensor) -> torch.Tensor:
    """Return the center of the ink as (row, column), in pixels."""
    coordinates = torch.stack(torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij"))
    return (coordinates * image).sum((1, 2)) / image.sum()


def make_rectangle(row: int = 13, column: int = 13) -> torch.Tensor:
    image = torch.zeros(1, 28, 28)
    image[0, row - 2 : row + 3, column - 1 : column + 2] = 1.0
    return image


def test_ranges_of_zero_leave_the_images_unchanged():
    batch = make_images()
    assert random_affine(batch, **NO_CHANGE) is batch
    assert random_stroke_width(batch, 0.0) is batch


@pytest.mark.parametrize("ranges", [{"shift": 2.0}, {"rotate": 10.0}, {"scale": 0.1}, {"slant": 0.3}], ids=str)
def test_each_image_is_transformed_differently_and_keeps_its_shape(ranges):
    torch.manual_seed(0)
    batch = make_rectangle(8, 8).expand(16, 1, 28, 28)
    transformed = random_affine(batch, **{**NO_CHANGE, **ranges})
    assert transformed.shape == batch.shape and transformed.dtype == batch.dtype
    assert len({image.numpy().tobytes() for image in transformed}) == 16


def test_images_are_shifted_by_at_most_the_given_number_of_pixels():
    torch.manual_seed(0)
    transformed = random_affine(make_rectangle().expand(200, 1, 28, 28), shift=2.0, rotate=0.0, scale=0.0)
    start = center_of_mass(make_rectangle()[0])
    shifts = torch.stack([center_of_mass(image[0]) - start for image in transformed]).abs()
    assert 1.5 < shifts.max() <= 2.01
    assert (shifts.max(0).values > 1.5).all()  # The images are shifted in both directions.


def test_images_are_rotated_by_at_most_the_given_angle():
    torch.manual_seed(0)
    transformed = random_affine(make_rectangle(4, 13).expand(200, 1, 28, 28), shift=0.0, rotate=10.0, scale=0.0)
    middle = torch.tensor([13.5, 13.5])
    arms = torch.stack([center_of_mass(image[0]) for image in transformed]) - middle
    start = center_of_mass(make_rectangle(4, 13)[0]) - middle
    cosine = (arms @ start / (arms.norm(dim=1) * start.norm())).clamp(max=1)
    degrees = torch.rad2deg(torch.arccos(cosine))
    assert 8 < degrees.max() <= 10.2


def test_ink_shifted_out_of_the_image_does_not_reappear_on_the_opposite_side():
    torch.manual_seed(0)
    transformed = random_affine(make_rectangle(3, 3).expand(100, 1, 28, 28), shift=4.0, rotate=0.0, scale=0.0)
    assert transformed[:, :, 14:].max() == transformed[:, :, :, 14:].max() == 0


def test_top_of_a_slanted_image_moves_against_the_bottom_and_rows_keep_their_length():
    torch.manual_seed(0)
    line = torch.zeros(1, 28, 28)
    line[0, 4:24, 13:15] = 1.0
    slanted = random_affine(line.expand(200, 1, 28, 28), **{**NO_CHANGE, "slant": 0.3})[:, 0]
    columns = torch.arange(28.0)
    middles = (slanted * columns).sum(2) / slanted.sum(2)  # mean column of the ink in each row
    slants = (middles[:, 6] - middles[:, 21]) / 15
    assert 0.25 < slants.max() <= 0.301 and -0.301 <= slants.min() < -0.25
    torch.testing.assert_close(slanted[:, 6:22].sum(2), torch.full((200, 16), 2.0), atol=1e-4, rtol=0)


def test_random_values_without_slant_are_those_of_earlier_versions():
    """The trainings of `mnist-resnet` keep their weights only if the same random values are drawn."""
    torch.manual_seed(0)
    random_affine(make_images(), **{**ALL_CHANGES, "slant": 0.0})
    state = torch.get_rng_state()
    torch.manual_seed(0)
    torch.rand(4, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_strokes_become_thinner_and_wider_and_the_range_of_values_is_kept():
    torch.manual_seed(0)
    image = torch.from_numpy(to_mnist_image(draw_digit(3, 2))).float() / 255 * 3 - 0.4
    batch = image.expand(200, 1, 28, 28)
    changed = random_stroke_width(batch, 0.8)
    assert changed.shape == batch.shape and changed.dtype == batch.dtype
    assert changed.min() >= batch.min() and changed.max() <= batch.max()
    assert torch.equal(changed[:, :, 0], batch[:, :, 0])  # the background does not change
    ink, ink_before = (changed - batch.min()).sum((1, 2, 3)), (image - batch.min()).sum()
    assert ink.min() < 0.8 * ink_before and ink.max() > 1.2 * ink_before
    assert len({image.numpy().tobytes() for image in changed}) == 200


def test_each_image_keeps_its_darkest_and_brightest_value():
    torch.manual_seed(0)
    images = [to_mnist_image(draw_digit(digit, number)) for digit in range(10) for number in range(5)]
    batch = torch.stack([torch.from_numpy(image).float() / 255 for image in images])[:, None].repeat(4, 1, 1, 1)
    changed = random_stroke_width(batch, 1.0)
    for limit in (torch.amin, torch.amax):
        assert torch.equal(limit(changed, (1, 2, 3)), limit(batch, (1, 2, 3)))


def test_a_blank_image_stays_blank():
    blank = torch.full((2, 1, 28, 28), -0.4)
    assert torch.equal(random_stroke_width(blank, 1.0), blank)


def test_restoring_the_random_state_of_torch_repeats_the_augmentation():
    def augment() -> torch.Tensor:
        return random_stroke_width(random_affine(make_images(), **ALL_CHANGES), 0.4)

    state = torch.get_rng_state()
    first, second = augment(), augment()
    torch.set_rng_state(state)
    assert torch.equal(augment(), first) and not torch.equal(first, second)
