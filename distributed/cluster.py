"""Start or join a Ray cluster, quietly, and end only what was started here."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from .addresses import (
    AUTO,
    CONNECT_TIMEOUT_S,
    LOCAL,
    check_reachable,
    chosen_address,
    parse_address,
    why_not_joined,
)


def ensure_ray(
    address: str | None = None, *, cpus: int | None = None, timeout_s: float = CONNECT_TIMEOUT_S
) -> bool:
    """Make sure that Ray runs; return whether this call started or joined it.

    An initialised Ray is used as it is. Else ``address`` decides: "local" starts a cluster with ``cpus`` CPUs
    (default: all) and without dashboard, which ends with the process, or earlier by ``ray.shutdown()``;
    "auto" joins the cluster of this machine, HOST:PORT the one whose head node is there; None is what
    the environment variable RAY_ADDRESS says, and "local" without it.

    Raises ValueError for an address that is none of these, and ConnectionError where nothing answers within
    ``timeout_s``, or the cluster refuses the token (see ``authentication``), which Ray tries for 20 s.
    """
    chosen = chosen_address(address)
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if chosen == LOCAL:
        ray.init(
            address=LOCAL,
            num_cpus=cpus,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        return True
    # A TLS server does not answer a greeting in the clear.
    if chosen != AUTO and os.environ.get("RAY_USE_TLS", "0") == "0":
        check_reachable(parse_address(chosen), timeout_s=timeout_s)
    try:
        ray.init(address=chosen, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ConnectionError(why_not_joined(chosen, error)) from error
    return True


@contextmanager
def ray_cluster(
    address: str | None = None, *, cpus: int | None = None, timeout_s: float = CONNECT_TIMEOUT_S
) -> Iterator[None]:
    """Have Ray within the block; if ``ensure_ray`` had to start or join it, leave it behind."""
    started = ensure_ray(address, cpus=cpus, timeout_s=timeout_s)
    try:
        yield
    finally:
        if started:
            ray.shutdown()
