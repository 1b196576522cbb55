"""Digits: the networks and what is done to a batch of images."""

import itertools
from pathlib import Path

import jaxtyping
import pytest
import torch
import yaml
from torch import nn

from lectern.tasks.digits.model import module, networks
from lectern.tasks.digits.model.augmentation import random_affine
from lectern.tasks.digits.model.networks import DigitCNN, DigitResNet
from lectern.training.networks import build_network

MODELS = sorted((Path(__file__).parents[1] / "conf" / "model").glob("digits_*.yaml"))
NETWORKS = {path.stem: yaml.safe_load(path.read_text())["module"]["network"] for path in MODELS}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def images(number: int = 3) -> torch.Tensor:
    return torch.rand(number, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_the_lectures_network_has_693962_parameters():
    assert count(DigitCNN()) == 693_962
    assert count(build_network(NETWORKS["digits_cnn"], module.NETWORKS)) == 693_962


def test_no_configured_network_has_more_than_700000_parameters():
    assert {"digits_cnn", "digits_resnet"} <= set(NETWORKS)
    for name, network in NETWORKS.items():
        assert count(build_network(network, module.NETWORKS)) <= 700_000, name


def test_pooling_before_rectifying_gives_what_the_lectures_order_gives():
    conv, pool, relu, *rest = DigitCNN().eval()
    assert [type(layer) for layer in (conv, pool, relu)] == [nn.Conv2d, nn.MaxPool2d, nn.ReLU]
    ours, lecture = nn.Sequential(conv, pool, relu, *rest), nn.Sequential(conv, relu, pool, *rest)
    batch = (images(64) - 0.5).requires_grad_()
    assert torch.equal(ours(batch), lecture(batch))
    gradients = [torch.autograd.grad(network(batch).sum(), conv.weight)[0] for network in (ours, lecture)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("number", [1, 5])
def test_images_become_ten_logits_each(network, number):
    logits = build_network(network, module.NETWORKS).eval()(images(number))
    assert logits.shape == (number, 10) and logits.dtype == torch.float32


@pytest.mark.parametrize("network", [DigitCNN, DigitResNet])
@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 3, 28, 28), (3, 1, 27, 28), (3, 1, 28)], ids=str)
def test_images_of_another_shape_are_refused_at_the_door(network, shape):
    with pytest.raises(jaxtyping.TypeCheckError):
        network()(torch.zeros(shape))


def test_bytes_are_refused_at_the_door():
    with pytest.raises(jaxtyping.TypeCheckError):
        DigitCNN()(torch.zeros(3, 1, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_an_images_logits_do_not_depend_on_its_neighbours(network):
    network, batch = build_network(network, module.NETWORKS).eval(), images(4)
    alone = torch.cat([network(image[None]) for image in batch])
    torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-5)


def test_a_deeper_or_wider_network_is_what_was_asked_for():
    """Two convolutions a block in three stages, one before them; the last layer reads four times the width."""
    for width, blocks in itertools.product((8, 16), (1, 2)):
        network = DigitResNet(width, blocks)
        found = [block for block in network.modules() if isinstance(block, networks.ResidualBlock)]
        assert len(found) == 3 * blocks
        assert network[-1].in_features == 4 * width


# The batch's images, moved a little


def centre(image: torch.Tensor) -> torch.Tensor:
    """Where the ink is, (row, column), in pixels."""
    places = torch.stack(torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij"))
    return (places * image).sum((1, 2)) / image.sum()


def blob(row: int = 13, column: int = 13) -> torch.Tensor:
    image = torch.zeros(1, 28, 28)
    image[0, row - 2 : row + 3, column - 1 : column + 2] = 1.0
    return image


def test_zero_ranges_leave_the_images_as_they_are():
    batch = images()
    assert random_affine(batch, shift=0.0, rotate=0.0, scale=0.0) is batch


@pytest.mark.parametrize("ranges", [{"shift": 2.0}, {"rotate": 10.0}, {"scale": 0.1}], ids=str)
def test_each_image_is_changed_by_its_own_draw_and_keeps_its_shape(ranges):
    torch.manual_seed(0)
    batch = blob(8, 8).expand(16, 1, 28, 28)
    changed = random_affine(batch, **{"shift": 0.0, "rotate": 0.0, "scale": 0.0, **ranges})
    assert changed.shape == batch.shape and changed.dtype == batch.dtype
    assert len({image.numpy().tobytes() for image in changed}) == 16


def test_an_image_moves_no_further_than_the_shift_allows():
    torch.manual_seed(0)
    changed = random_affine(blob().expand(200, 1, 28, 28), shift=2.0, rotate=0.0, scale=0.0)
    moves = torch.stack([centre(image[0]) - centre(blob()[0]) for image in changed]).abs()
    assert 1.5 < moves.max() <= 2.01
    assert (moves.max(0).values > 1.5).all()  # down and across


def test_turning_moves_no_further_than_the_angle_allows():
    torch.manual_seed(0)
    changed = random_affine(blob(4, 13).expand(200, 1, 28, 28), shift=0.0, rotate=10.0, scale=0.0)
    middle = torch.tensor([13.5, 13.5])
    arms = torch.stack([centre(image[0]) for image in changed]) - middle
    start = centre(blob(4, 13)[0]) - middle
    cosine = (arms @ start / (arms.norm(dim=1) * start.norm())).clamp(max=1)
    degrees = torch.rad2deg(torch.arccos(cosine))
    assert 8 < degrees.max() <= 10.2


def test_what_is_moved_out_of_the_image_is_not_moved_in_on_the_other_side():
    torch.manual_seed(0)
    changed = random_affine(blob(3, 3).expand(100, 1, 28, 28), shift=4.0, rotate=0.0, scale=0.0)
    assert changed[:, :, 14:].max() == changed[:, :, :, 14:].max() == 0


def test_the_draws_come_from_the_random_state_that_a_checkpoint_holds():
    state = torch.get_rng_state()
    ranges = {"shift": 2.0, "rotate": 10.0, "scale": 0.1}
    first, second = random_affine(images(), **ranges), random_affine(images(), **ranges)
    torch.set_rng_state(state)
    assert torch.equal(random_affine(images(), **ranges), first) and not torch.equal(first, second)
