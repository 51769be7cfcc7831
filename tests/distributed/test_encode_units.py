"""Decisions of a distributed encode job, without Ray."""

import numpy as np
import pytest
from hashnet.distributed.encode_units import check_same_files, cpus_per_actor, rows_of_units
from hypothesis import given
from hypothesis import strategies as st

from hashnet.encoding.settings import EncodeSettings


def settings(n_images=10, unit_size=4):
    return EncodeSettings(
        fingerprint="sha256:a",
        n_bits=32,
        source="digits",
        identity="sha256:b",
        rows="all",
        n_images=n_images,
        unit_size=unit_size,
        batch_size=8,
        device="cpu",
    )


@given(workers=st.integers(1, 64), free=st.integers(1, 128))
def test_the_pool_never_holds_every_cpu(workers, free):
    share = cpus_per_actor(workers, free)
    assert 0 < share <= 1
    assert workers * share <= 0.75 * free + 1e-9


def test_two_workers_on_two_cores_hold_three_quarters_of_a_core():
    assert cpus_per_actor(2, 2) == 0.75


def test_a_full_cluster_is_refused():
    with pytest.raises(ValueError, match="take fewer workers"):
        cpus_per_actor(2, 0)


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        cpus_per_actor(0, 2)


@given(n=st.integers(0, 50), unit_size=st.integers(1, 20))
def test_units_hold_each_row_once(n, unit_size):
    job = settings(n, unit_size)
    parts = rows_of_units(job, list(range(job.n_units)), None)
    assert np.concatenate([np.empty(0, np.int64), *parts]).tolist() == list(range(n))
    assert all(0 < len(part) <= unit_size for part in parts)


def test_units_of_chosen_rows_hold_those():
    rows = np.array([1, 5, 6, 9, 12])
    parts = rows_of_units(settings(5, 2), [0, 2], rows)
    assert [part.tolist() for part in parts] == [[1, 5], [12]]


@pytest.mark.parametrize(("fingerprint", "identity"), [("sha256:x", "sha256:b"), ("sha256:a", "sha256:x")])
def test_a_worker_that_sees_other_files_is_refused(fingerprint, identity):
    with pytest.raises(ValueError, match=r"a worker sees another .* all nodes share"):
        check_same_files(fingerprint, identity, wanted=settings())
