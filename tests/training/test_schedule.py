"""The continuation and the sampler: pure functions of the iteration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.training.sampler import BatchSampler
from hashnet.training.schedule import betas, lr_factor, stage_of


def test_beta_grows_geometrically_and_ends_at_sgn():
    assert betas(5, beta_max=64, beta_final=1e4) == pytest.approx((1, 4, 16, 64, 1e4))


@given(st.integers(1, 30), st.floats(1, 1e3), st.floats(1, 1e3))
def test_beta_starts_at_one_and_never_falls(stages, beta_max, factor):
    values = betas(stages, beta_max=beta_max, beta_final=beta_max * factor)
    assert values[0] == 1
    assert len(values) == stages
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(values))


def test_beta_that_would_fall_is_refused():
    with pytest.raises(ValueError, match="beta must grow"):
        betas(10, beta_max=64, beta_final=10)


@given(st.integers(1, 500), st.integers(1, 20))
def test_every_stage_is_as_long_as_the_others_to_one_iteration(iterations, stages):
    stages = min(stages, iterations)
    counts = np.bincount([stage_of(i, iterations=iterations, stages=stages) for i in range(iterations)])
    assert len(counts) == stages
    assert counts.max() - counts.min() <= 1


def test_the_cosine_starts_at_one_and_ends_near_zero():
    factors = [lr_factor(i, iterations=100, decay="cosine") for i in (0, 50, 99)]
    assert factors == pytest.approx([1, 0.5, 0], abs=1e-3)


@given(st.integers(2, 100), st.integers(2, 40), st.integers(0, 2**31))
def test_an_epoch_has_every_row_at_most_once(n, batch_size, seed):
    sampler = BatchSampler(n, batch_size=batch_size, seed=seed)
    rows = np.concatenate([sampler.batch(i) for i in range(max(1, n // min(n, batch_size)))])
    assert len(np.unique(rows)) == len(rows)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_batch_does_not_depend_on_the_batches_before(first, iteration):
    walked, fresh = (BatchSampler(50, batch_size=8, seed=3) for _ in range(2))
    walked.batch(first)
    assert np.array_equal(walked.batch(iteration), fresh.batch(iteration))


def test_one_item_cannot_be_trained_on():
    with pytest.raises(ValueError, match="at least two"):
        BatchSampler(1, batch_size=8, seed=0)
