"""How a Ray that is started for the service is to run it; one that is joined stays as it is (no Ray here).

Ray Serve sends HTTP through a proxy: a request crosses two processes, and Ray between them. It can have the
app's own process listen instead (it calls this direct ingress). And Ray runs its workers at a niceness of 15,
meant for work in the background; here somebody waits for the answers. Both are set by environment variables
that Ray's processes read when they start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Mapping, MutableMapping

from ..addresses import LOCAL, chosen_address

_DIRECT = "RAY_SERVE_ENABLE_DIRECT_INGRESS"
_LEAST_PORT = "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"


def prepare_own_ray(
    port: int,
    *,
    apps: int = 1,
    address: str | None = None,
    environment: MutableMapping[str, str] = os.environ,
    loaded: Container[str] = sys.modules,
) -> bool:
    """Have the app on the Ray that is to be started listen on ``port`` itself, at full priority.

    Of several ``apps`` each gets the next port, in the order in which they are run. To be called before Ray
    is imported. Nothing changes, and False is returned, where Ray is loaded already, a running Ray is joined
    (``address``), or the environment has RAY_SERVE_ENABLE_DIRECT_INGRESS: 0 leaves HTTP to the proxy.
    """
    if "ray" in loaded or _DIRECT in environment or chosen_address(address, environment) != LOCAL:
        return False
    environment.update(
        {
            _DIRECT: "1",
            _LEAST_PORT: str(port),
            # Exclusive, although it is called the largest port.
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(port + apps),
            # There is no load balancer that would have to notice first that a port is gone, or taken again.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
            "RAY_SERVE_PORT_QUARANTINE_S": "0",
            # One thread less to pass on the way to the app, and back.
            "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
        }
    )
    environment.setdefault("RAY_worker_niceness", "0")
    return True


def listens_directly(port: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``prepare_own_ray`` was told ``port``."""
    return environment.get(_DIRECT) == "1" and environment.get(_LEAST_PORT) == str(port)
