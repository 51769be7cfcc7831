"""The app on Ray Serve: one process holds the index and answers; ``own_ray`` says how HTTP comes to it."""

from __future__ import annotations

import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig

from hashnet.errors import HashnetError

from ..cluster import ray_cluster
from .app import create_app
from .local import bind, url_of
from .own_ray import listens_directly
from .problems import last_line
from .settings import ServiceSettings
from .source import Source

APP = "hashnet"
# Beside the requests that are worked on: those that are turned away, the pages, and the state.
_MORE_REQUESTS = 64
_ANSWER_S = 20.0


class SearchService:
    """Holds the app; what it does is decided in ``service`` and ``gate``."""

    def __init__(self, source: Source, settings: ServiceSettings) -> None:
        # What the service logs goes where Serve logs.
        logging.getLogger("hashnet").parent = logging.getLogger("ray.serve")
        self._source = source
        self._settings = settings

    def __serve_build_asgi_app__(self) -> Any:
        """Open the index and make the app; Serve calls this once in every new process."""
        reopen = partial(self._source.open, self._settings)
        encoder = self._source.load_encoder()
        self._app = create_app(reopen(), self._settings, encoder, reopen=reopen)
        return self._app

    async def drain(self) -> None:
        """Take no more requests for work; those under way go on."""
        self._app.state.service.drain()


def deploy(app: Any, *, max_ongoing: int, drain_s: float) -> Any:
    """Return the Serve application of an ingress class or builder of ASGI apps, reserving no CPU."""
    return serve.deployment(
        app,
        name=APP,
        num_replicas=1,
        max_ongoing_requests=max_ongoing,
        max_queued_requests=4 * max_ongoing,
        graceful_shutdown_timeout_s=drain_s,
        graceful_shutdown_wait_loop_s=0.1,
        # A shard that reserves a core would leave other jobs of a small machine waiting for ever.
        ray_actor_options={"num_cpus": 0},
    )


@contextmanager
def serving(
    source: Source,
    settings: ServiceSettings,
    *,
    host: str,
    port: int,
    address: str | None = None,
    drain_s: float = 20.0,
) -> Iterator[str]:
    """Serve within the block and yield the URL; behind it, end without breaking off open requests.

    A running Ray is used, else one is joined (``address``) or started. Of a cluster that was there before
    only the application is taken away. Raises HashnetError where the service does not come up.
    """
    with ray_cluster(address):
        deployment = deploy(
            serve.ingress()(SearchService),
            max_ongoing=settings.max_concurrent + _MORE_REQUESTS,
            drain_s=drain_s,
        )
        with running(deployment.bind(source, settings), host=host, port=port) as (url, handle):
            try:
                yield url
            finally:
                try:
                    handle.drain.remote().result(timeout_s=_ANSWER_S)
                except (ray.exceptions.RayError, TimeoutError, RuntimeError):
                    logging.getLogger(__name__).warning("the service could not be told to end; it is stopped")


@contextmanager
def running(application: Any, *, host: str, port: int, path: str = "/healthz") -> Iterator[tuple[str, Any]]:
    """Run a Serve application on ``host:port`` of the head node; yield its URL and handle, then end it."""
    # Serve cannot be had without its proxy, which then stands idle beside the app.
    proxy_port = _free_port(host) if listens_directly(port) else port
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    mine = not _serve_runs()
    try:
        serve.start(
            proxy_location=ProxyLocation.HeadOnly,
            http_options=HTTPOptions(host=host, port=proxy_port),
            logging_config=quiet,
        )
        try:
            handle = serve.run(application, name=APP, route_prefix="/", logging_config=quiet)
        except (RuntimeError, RayServeException) as error:
            raise HashnetError(f"the service did not come up: {last_line(str(error))}") from error
        url = url_of(host, port)
        wait_for(url.rstrip("/") + path)
        yield url, handle
    finally:
        if ray.is_initialized() and _serve_runs():
            # Waits until open requests have been answered.
            serve.delete(APP)
            if mine:
                serve.shutdown()


def wait_for(url: str, *, timeout_s: float = _ANSWER_S) -> None:
    """Return when ``url`` answers 200; raise HashnetError if it does not within ``timeout_s``."""
    # Straight there, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            with opener.open(url, timeout=timeout_s):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > give_up:
                raise HashnetError(
                    f"{url} does not answer ({error}); if Ray Serve runs on this cluster already with "
                    "another host or port, stop it, or take another cluster"
                ) from error
        time.sleep(0.1)


def _free_port(host: str) -> int:
    with bind(host, 0) as free:
        return int(free.getsockname()[1])


def _serve_runs() -> bool:
    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return False
    return True
