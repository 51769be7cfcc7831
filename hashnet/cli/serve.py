"""``hashnet serve``: an index and a model behind HTTP."""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hashnet.cli.options import IndexArgument, JsonOption, RayOption


def serve(
    index: IndexArgument,
    *,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="MODEL", help="Model directory; without one only codes are taken."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but this machine's own needs keys.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="FILE",
            help="Keys of clients, a line each: `read KEY`, `admin KEY`, `read,admin KEY`. Else those in the "
            "environment variable HASHNET_KEYS.",
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards", min=0, help="Processes that share the index; 0 answers in this one, without Ray."
        ),
    ] = None,
    replicas: Annotated[
        int, typer.Option("--replicas", min=1, help="Processes for each shard; one may then fail.")
    ] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of a shard.")] = 1,
    preload: Annotated[bool, typer.Option("--preload", help="Read the index into memory first.")] = False,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="MIB", min=1, help="Largest body of a request, in MiB.")
    ] = 16,
    max_k: Annotated[int, typer.Option("--max-k", min=1, help="Largest k.")] = 10_000,
    max_radius: Annotated[
        int | None, typer.Option("--max-radius", min=0, help="Largest radius; default: n_bits.")
    ] = None,
    max_queries: Annotated[
        int, typer.Option("--max-queries", min=1, help="Most queries in one request.")
    ] = 1024,
    max_concurrent: Annotated[
        int, typer.Option("--max-concurrent", min=1, help="Requests at a time; others are told to come back.")
    ] = 64,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds until a request is given up.")] = 30.0,
    batch: Annotated[
        int,
        typer.Option("--batch", min=1, help="Most queries of several requests answered together; 1: none."),
    ] = 256,
    drain: Annotated[
        float, typer.Option("--drain", min=0.0, help="Seconds that open requests get in the end.")
    ] = 20.0,
    ray: RayOption = None,
    json: JsonOption = False,
) -> None:
    """Answer searches over HTTP, with a page to try them on at /, until Ctrl-C or SIGTERM.

    Routes: POST /search, /search_radius, /encode; GET /info, /healthz, /readyz, /metrics; /docs describes
    them. POST /admin/reload (with a key of scope admin) opens INDEX anew: what was added since, or, where
    INDEX is a link, what it points to now.
    """
    from hashnet.distributed.serving.keys import load_keys
    from hashnet.distributed.serving.settings import ServiceSettings, check_host
    from hashnet.distributed.serving.source import Source, check_source, default_shards

    known = load_keys(keys)
    check_host(host, known)
    settings = ServiceSettings(
        max_body_bytes=max_body << 20,
        max_k=max_k,
        max_radius=max_radius,
        max_queries=max_queries,
        max_concurrent=max_concurrent,
        timeout_s=timeout,
        batch_queries=batch,
        threads=threads,
        keys=known,
    )
    source = Source(
        index.absolute(),
        None if model is None else model.absolute(),
        shards=default_shards(index) if shards is None else shards,
        replicas=replicas,
        preload=preload,
    )
    check_source(source)
    place = _Place(host, port, drain, ray)
    if source.shards:
        _on_ray(source, settings, place, json=json)
    else:
        _here(source, settings, place, json=json)


@dataclass(frozen=True)
class _Place:
    host: str
    port: int
    drain_s: float
    ray: str | None


def _here(source: Any, settings: Any, place: _Place, *, json: bool) -> None:
    from hashnet.distributed.serving.app import create_app
    from hashnet.distributed.serving.local import bind, run

    with bind(place.host, place.port) as server:
        reopen = functools.partial(source.open, settings)
        app = create_app(reopen(), settings, source.load_encoder(), reopen=reopen)
        ready = functools.partial(_announce, source.index, json=json)
        with stop_signals():
            run(app, server, host=place.host, drain_s=place.drain_s, ready=ready)


def _on_ray(source: Any, settings: Any, place: _Place, *, json: bool) -> None:
    from hashnet.distributed.authentication import demand_token
    from hashnet.distributed.serving.local import bind
    from hashnet.distributed.serving.own_ray import prepare_own_ray

    # Serve would try a port that is taken for a long time.
    with bind(place.host, place.port) as server:
        port = server.getsockname()[1]
    demand_token(address=place.ray)
    prepare_own_ray(port, address=place.ray)
    from hashnet.distributed.serving.deployment import serving

    service = serving(source, settings, host=place.host, port=port, address=place.ray, drain_s=place.drain_s)
    stdout = sys.stdout
    # Ray tells there of processes of its own, also of those that ended because they were told to.
    with contextlib.redirect_stdout(sys.stderr), service as url, stop_signals() as stop:
        with contextlib.redirect_stdout(stdout):
            _announce(source.index, url, json=json)
        # A plain wait would keep Python from running the handlers of signals.
        while not stop.wait(0.5):
            pass
        typer.echo("hashnet: ending; open requests are answered first", err=True)


def _announce(index: Path, url: str, *, json: bool) -> None:
    from hashnet.cli.output import print_json

    if json:
        print_json({"index": index, "url": url})
    else:
        typer.echo(f"serving {index.name} at {url} (API: {url}docs); Ctrl-C ends it")


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Have the first Ctrl-C or SIGTERM set the event within the block, and a second one end at once."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
