"""What Prometheus reads: requests, queries, batches, the engine's work, and the state of shards."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from hashnet.index import Plan

from .backends import ShardState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_WORK = (10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)


class Metrics:
    """The counters and histograms of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "hashnet_http_requests", "Requests by status.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "hashnet_http_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.errors = Counter(
            "hashnet_http_errors", "Answers that were errors, by their code.", ["code"], registry=registry
        )
        self.working = Gauge(
            "hashnet_http_requests_working", "Requests that are being worked on.", registry=registry
        )
        self.queries = Counter("hashnet_queries", "Queries answered.", ["kind"], registry=registry)
        self.images = Counter("hashnet_images", "Images encoded.", registry=registry)
        self.neighbors = Counter(
            "hashnet_neighbors", "Neighbours that were returned.", ["kind"], registry=registry
        )
        self.batches = Histogram(
            "hashnet_batch_queries", "Queries in one call of the index.", buckets=_SIZES, registry=registry
        )
        self.engine = Histogram(
            "hashnet_index_call_seconds",
            "Time of one call of the index, shards included.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.probes = Histogram(
            "hashnet_query_probes", "Buckets probed by a sampled query.", buckets=_WORK, registry=registry
        )
        self.candidates = Histogram(
            "hashnet_query_candidates",
            "Codes compared by a sampled query.",
            buckets=_WORK,
            registry=registry,
        )
        self.plans = Counter(
            "hashnet_query_plans",
            "Segments that a sampled query probed or scanned.",
            ["way"],
            registry=registry,
        )
        self.replicas = Gauge(
            "hashnet_shard_replicas", "Replicas of a shard.", ["shard", "state"], registry=registry
        )
        self.latency = Gauge(
            "hashnet_shard_latency_seconds", "Time of a shard's last answers.", ["shard"], registry=registry
        )
        self.codes = Gauge("hashnet_index_codes", "Codes in the index.", registry=registry)
        self.version = Gauge("hashnet_index_version", "Counts reloads, from 1.", registry=registry)

    def serves(self, n_codes: int, version: int) -> None:
        """Note which version answers from now on."""
        self.codes.set(n_codes)
        self.version.set(version)

    def planned(self, plans: Sequence[Plan]) -> None:
        """Count what one query cost, over all shards and segments."""
        segments = [segment for plan in plans for segment in plan.segments]
        self.probes.observe(sum(one.probes for one in segments))
        self.candidates.observe(sum(one.candidates for one in segments))
        for one in segments:
            self.plans.labels("scan" if one.scan else "probe").inc()

    def text(self, health: Sequence[ShardState]) -> bytes:
        """Return everything in Prometheus's text format, with the present state of shards."""
        self.replicas.clear()
        self.latency.clear()
        for one in health:
            for state in ("alive", "starting", "dead"):
                self.replicas.labels(str(one.shard), state).set(getattr(one, state))
            if one.latency_ms is not None:
                self.latency.labels(str(one.shard)).set(one.latency_ms / 1e3)
        return generate_latest(self._registry)
