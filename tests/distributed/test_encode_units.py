"""Decisions of a distributed encode job, without Ray."""

import numpy as np
import pytest
from hashnet.distributed.encode_units import (
    DataSpec,
    check_same_model,
    default_decoders,
    default_threads,
    default_workers,
    shares,
    units_at_a_worker,
    work_unit,
)
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from hashnet.datasets import open_images
from hashnet.encoding.settings import EncodeSettings
from hashnet.errors import SourceChangedError


def settings(n_images=10, unit_size=4, identity="sha256:b"):
    return EncodeSettings(
        fingerprint="sha256:a",
        n_bits=32,
        source="digits",
        identity=identity,
        rows="all",
        n_images=n_images,
        unit_size=unit_size,
        batch_size=8,
        device="cpu",
    )


@given(
    workers=st.integers(1, 32),
    threads=st.integers(1, 16),
    decoders=st.integers(0, 4),
    on_gpu=st.booleans(),
    cpus=st.integers(2, 256),
    gpus=st.integers(1, 16),
)
def test_all_workers_and_decoders_fit_at_once(workers, threads, decoders, on_gpu, cpus, gpus):
    try:
        share = shares(
            workers=workers, threads=threads, decoders=decoders, on_gpu=on_gpu, free_cpus=cpus, free_gpus=gpus
        )
    except ValueError:
        assert cpus / (workers * max(1, decoders)) < 0.05
        return
    total = workers * (share.worker_cpus + decoders * share.decoder_cpus)
    assert total <= cpus + 1e-6
    assert 0 < share.worker_cpus <= (1 if on_gpu else threads)
    # Ray takes parts of a CPU, or whole ones.
    assert share.worker_cpus < 1 or share.worker_cpus == int(share.worker_cpus)
    assert (share.decoder_cpus > 0) == (decoders > 0)
    assert workers * share.worker_gpus <= gpus + 1e-9


def test_two_workers_on_two_cores_have_one_each():
    share = shares(workers=2, threads=1, decoders=0, on_gpu=False, free_cpus=2, free_gpus=0)
    assert share == (1.0, 0.0, 0.0)


def test_four_workers_share_two_cores():
    assert shares(workers=4, threads=1, decoders=0, on_gpu=False, free_cpus=2, free_gpus=0).worker_cpus == 0.5


def test_a_worker_of_several_threads_has_a_cpu_for_each():
    share = shares(workers=4, threads=8, decoders=0, on_gpu=False, free_cpus=64, free_gpus=0)
    assert share.worker_cpus == 8


def test_a_full_cluster_is_refused():
    with pytest.raises(ValueError, match="take fewer"):
        shares(workers=2, threads=1, decoders=0, on_gpu=False, free_cpus=0, free_gpus=0)


def test_a_cluster_without_a_gpu_is_refused():
    with pytest.raises(ValueError, match="no GPU of the cluster is free"):
        shares(workers=1, threads=1, decoders=0, on_gpu=True, free_cpus=4, free_gpus=0)


@pytest.mark.parametrize(("workers", "decoders"), [(0, 0), (1, -1)])
def test_numbers_that_are_none_are_refused(workers, decoders):
    with pytest.raises(ValueError, match="at least 1 and decoders at least 0"):
        shares(workers=workers, threads=1, decoders=decoders, on_gpu=False, free_cpus=2, free_gpus=0)


def test_there_is_a_worker_for_each_gpu_or_for_the_cpus_of_its_threads():
    assert default_workers(on_gpu=True, threads=1, cpus=64, gpus=8) == 8
    assert default_workers(on_gpu=False, threads=4, cpus=64, gpus=8) == 16
    assert default_workers(on_gpu=False, threads=4, cpus=2, gpus=0) == 1


def test_a_gpu_is_filled_by_several_threads():
    assert [default_threads(on_gpu=on_gpu) for on_gpu in (False, True)] == [1, 4]


def test_tasks_decode_for_a_gpu_only():
    assert default_decoders(on_gpu=True, workers=1, cpus=16) == 15
    assert default_decoders(on_gpu=True, workers=8, cpus=8) == 1
    assert default_decoders(on_gpu=False, workers=1, cpus=16) == 0


@limits(deadline=None)  # the first opens the images
@given(n=st.integers(1, 50), unit_size=st.integers(1, 20))
def test_units_hold_each_row_once_and_in_order(n, unit_size):
    images = open_images("digits")
    job = settings(n, unit_size, images.version())
    spec = DataSpec("digits", None, images, None)
    units = [work_unit(spec, job, number) for number in range(job.n_units)]
    assert [entry.row for unit in units for entry in unit.part.entries()] == list(range(n))


def test_units_of_chosen_rows_hold_those():
    images = open_images("digits")
    job = settings(5, 2, images.version())
    spec = DataSpec("digits", None, images, np.array([1, 5, 6, 9, 12]))
    rows = [[entry.row for entry in work_unit(spec, job, unit).part.entries()] for unit in (0, 2)]
    assert rows == [[1, 5], [12]]


def test_other_images_than_those_of_the_driver_are_refused():
    unit = work_unit(DataSpec("digits", None, open_images("digits"), None), settings(), 0)
    with pytest.raises(SourceChangedError, match=r"holds other images here .* all nodes share"):
        list(unit.part.entries())


def test_a_worker_has_a_unit_that_waits_beside_those_it_encodes():
    assert [units_at_a_worker(decoders) for decoders in (0, 1, 5)] == [2, 2, 6]


def test_another_model_than_that_of_the_driver_is_refused():
    check_same_model("sha256:a", wanted=settings())
    with pytest.raises(SourceChangedError, match=r"another model \(sha256:x\)"):
        check_same_model("sha256:x", wanted=settings())
