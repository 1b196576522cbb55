"""Test the rate, the mean and the independence of byte dropout."""

import pytest
import torch

from lectern.errors import UserError
from lectern.training.byte_dropout import ByteDropout


def test_dropout_zeroes_the_given_share_of_values_and_keeps_the_mean():
    values = torch.ones(1000, 257)
    dropped = ByteDropout(0.2)(values)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.2, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1, abs=0.005)


def test_dropout_changes_nothing_in_evaluation_mode_or_with_a_rate_of_zero():
    values = torch.ones(1000, 257)
    assert torch.equal(ByteDropout(0.2).eval()(values), values)
    assert torch.equal(ByteDropout(0.0)(values), values)


def test_all_eight_bytes_of_a_random_number_drop_values_at_the_same_rate():
    dropped = ByteDropout(0.5)(torch.ones(8 * 20_000)).view(-1, 8) == 0
    assert dropped.float().mean(0).tolist() == pytest.approx([0.5] * 8, abs=0.02)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_rate_outside_zero_to_one_is_an_error(rate):
    with pytest.raises(UserError, match=f"{rate}.*below 1"):
        ByteDropout(rate)
