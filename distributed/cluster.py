"""Start or join a Ray cluster, quietly, and end only what was started here."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray


def ensure_ray(address: str | None = None, *, cpus: int | None = None) -> bool:
    """Make sure that Ray runs; return whether this call started it.

    An initialised Ray is used as it is. Else the cluster at ``address`` is joined ("auto": the one of this
    machine; the environment variable RAY_ADDRESS counts too), or a local one with ``cpus`` CPUs is started,
    without dashboard; it ends with the process, or earlier by ``ray.shutdown()``.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        return True
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    return True


@contextmanager
def ray_cluster(address: str | None = None, *, cpus: int | None = None) -> Iterator[None]:
    """Have Ray within the block; if ``ensure_ray`` had to start it, shut it down behind."""
    started = ensure_ray(address, cpus=cpus)
    try:
        yield
    finally:
        if started:
            ray.shutdown()
