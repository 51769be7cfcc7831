"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from gang import Gang
from hypothesis import settings

# What lands must not depend on the examples of the day; everywhere else new ones are looked for.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Small operations on two threads wait for each other on a busy machine, ten times as long as they take.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A background job of a shell inherits Ctrl-C as ignored, and would hand that on to the commands under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data beside the checkout (../shared/data) is absent")
    return folder


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray of 2 CPUs for the whole test session, because starting it takes 15 s."""
    ray = pytest.importorskip("ray")
    import logging

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        configure_logging=True,
        logging_level=logging.ERROR,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: an untrained small_cnn with 32 bits for the digits."""
    import torch

    from hashnet.models import NetworkConfig, Preprocessing, build_network, save_model

    directory = tmp_path_factory.mktemp("model") / "tiny"
    generator = torch.Generator().manual_seed(0)
    network = build_network(NetworkConfig("small_cnn", 32), weights=None, generator=generator)
    classes = [str(digit) for digit in range(10)]
    save_model(directory, network, Preprocessing(32, 32), classes=classes, seed=0, metrics={})
    return directory


@pytest.fixture(scope="session")
def gang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gang]:
    """Three processes joined by gloo."""
    gang = Gang(3, tmp_path_factory.mktemp("gang"))
    yield gang
    gang.close()
