"""Seeded dropout: how much is left out, what that does to the mean, and what decides the masks."""

from __future__ import annotations

import pytest
import torch

from hashnet.training.dropout import SeededDropout

ONES = torch.ones(300, 1001)  # no multiple of what one draw serves


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_a_share_p_is_left_out_and_the_rest_keeps_the_mean(p):
    values = SeededDropout(p, seed=1)(ONES)
    kept = values[values != 0]
    sd = (p * (1 - p) / ONES.numel()) ** 0.5
    assert 1 - len(kept) / ONES.numel() == pytest.approx(p, abs=5 * sd)
    assert kept.unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-4)
    # Neither rows nor columns share a mask.
    for mask in (values, values.T):
        assert (mask == 0).float().mean(dim=1).std() == pytest.approx(
            (p * (1 - p) / mask.shape[1]) ** 0.5, rel=0.15
        )


def test_gradients_pass_where_values_do():
    x = ONES.clone().requires_grad_()
    y = SeededDropout(0.5, seed=2)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_masks_follow_from_the_seed_alone_and_differ_from_step_to_step():
    one, same, other = SeededDropout(0.5, seed=3), SeededDropout(0.5, seed=3), SeededDropout(0.5, seed=4)
    first = one(ONES)
    state = torch.random.get_rng_state()
    torch.rand(5)
    assert torch.equal(same(ONES), first)
    torch.random.set_rng_state(state)
    second = one(ONES)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(second, first)
    assert not torch.equal(other(ONES), first)


def test_nothing_is_left_out_in_evaluation_or_with_p_0_and_all_with_p_1():
    assert torch.equal(SeededDropout(0.5, seed=1).eval()(ONES), ONES)
    assert torch.equal(SeededDropout(0.0, seed=1)(ONES), ONES)
    assert not SeededDropout(1.0, seed=1)(ONES).any()


def test_the_number_format_stays():
    assert SeededDropout(0.5, seed=1)(ONES.bfloat16()).dtype == torch.bfloat16
