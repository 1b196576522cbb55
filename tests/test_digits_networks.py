"""Test the digit networks."""

import itertools
from pathlib import Path

import jaxtyping
import pytest
import torch
import yaml
from torch import nn

from lectern.tasks.digits.model import networks
from lectern.tasks.digits.model.module import NETWORKS
from lectern.tasks.digits.model.networks import DigitCNN, DigitResNet
from lectern.training.network_factory import build_network

CONFIGS = sorted((Path(__file__).parents[1] / "conf" / "model").glob("digits_*.yaml"))
SECTIONS = {path.stem: yaml.safe_load(path.read_text())["module"]["network"] for path in CONFIGS}


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def make_images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_network_of_the_lecture_has_693962_parameters():
    assert count_parameters(DigitCNN()) == 693_962
    assert count_parameters(build_network(SECTIONS["digits_cnn"], NETWORKS)) == 693_962


def test_no_configured_network_has_more_than_700000_parameters():
    assert {"digits_cnn", "digits_resnet"} <= set(SECTIONS)
    for name, section in SECTIONS.items():
        assert count_parameters(build_network(section, NETWORKS)) <= 700_000, name


def test_pooling_before_relu_gives_the_same_result_as_relu_before_pooling():
    conv, pool, relu, *rest = DigitCNN().eval()
    assert [type(layer) for layer in (conv, pool, relu)] == [nn.Conv2d, nn.MaxPool2d, nn.ReLU]
    pool_first, relu_first = nn.Sequential(conv, pool, relu, *rest), nn.Sequential(conv, relu, pool, *rest)
    batch = (make_images(64) - 0.5).requires_grad_()
    assert torch.equal(pool_first(batch), relu_first(batch))
    gradients = [torch.autograd.grad(network(batch).sum(), conv.weight)[0] for network in (pool_first, relu_first)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
@pytest.mark.parametrize("count", [1, 5])
def test_network_gives_ten_logits_per_image(section, count):
    logits = build_network(section, NETWORKS).eval()(make_images(count))
    assert logits.shape == (count, 10) and logits.dtype == torch.float32


@pytest.mark.parametrize("network", [DigitCNN, DigitResNet])
@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 3, 28, 28), (3, 1, 27, 28), (3, 1, 28)], ids=str)
def test_network_rejects_images_of_another_shape(network, shape):
    with pytest.raises(jaxtyping.TypeCheckError):
        network()(torch.zeros(shape))


def test_network_rejects_images_of_integers():
    with pytest.raises(jaxtyping.TypeCheckError):
        DigitCNN()(torch.zeros(3, 1, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_logits_of_an_image_do_not_depend_on_the_other_images_of_the_batch(section):
    network, batch = build_network(section, NETWORKS).eval(), make_images(4)
    single_logits = torch.cat([network(image[None]) for image in batch])
    torch.testing.assert_close(network(batch), single_logits, rtol=1e-4, atol=1e-5)


def test_width_and_blocks_set_the_size_of_the_residual_network():
    for width, blocks in itertools.product((8, 16), (1, 2)):
        network = DigitResNet(width, blocks)
        residual_blocks = [block for block in network.modules() if isinstance(block, networks.ResidualBlock)]
        assert len(residual_blocks) == 3 * blocks
        assert network[-1].in_features == 4 * width
