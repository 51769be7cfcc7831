"""Capacity on paper: shards, memory, nodes and latency of an index that is too large to try."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, Self, get_args

import numpy as np

from .capacity_model import Question, SearchConstants, Workload, bytes_per_code, query_ns

# The machines whose constants are known, by the instruction set that told them apart.
Machine = Literal["avx512", "avx2"]
# A segment numbers its rows with 32 bits.
MAX_SEGMENT_ROWS = 2**32 - 2
# The rest of a node's memory is for the system, Ray and answers, that of its cores keeps queues short.
MEMORY_SHARE = 0.8
BUSY_SHARE = 0.6
_MOST_SHARDS = 1_000_000


@dataclass(frozen=True)
class Tail:
    """How much longer than the median one query in a hundred takes in the engine, by radius and by k.

    Pairs of radius or k, ascending, and the ratio.
    """

    radius: tuple[tuple[int, float], ...]
    k: tuple[tuple[int, float], ...]

    def of(self, question: Question) -> float:
        """Return the ratio for a question, between two that were measured by their logarithms."""
        points = self.radius if question.k is None else self.k
        at = [math.log(1 + value) for value, _ in points]
        asked = math.log(1 + (question.k or question.radius or 0))
        return float(np.exp(np.interp(asked, at, [math.log(max(ratio, 1.0)) for _, ratio in points])))


@dataclass(frozen=True)
class ClusterConstants:
    """Measured costs around the engine: of a call from Python, of threads, of Ray, and of building."""

    python_us: float
    thread_efficiency: float
    ray_call_us: float
    ray_more_shards_us: float
    ray_caller_cpu_us: float
    ray_actor_cpu_us: float
    build_codes_per_core_s: float


@dataclass(frozen=True)
class Constants:
    """All constants of the model, and where they were measured."""

    search: SearchConstants
    cluster: ClusterConstants
    tails: Mapping[str, Tail]
    provenance: Mapping[str, Any]

    @classmethod
    def read(cls, machine: Machine = "avx512") -> Self:
        """Read the constants of a machine, which `python -m benchmarks.bench_capacity` wrote."""
        values = json.loads(constants_file(machine).read_text())
        return cls(
            SearchConstants(**values["search"]),
            ClusterConstants(**values["cluster"]),
            {
                workload: Tail(*(tuple(map(tuple, tail[name])) for name in ("radius", "k")))
                for workload, tail in values["tails"].items()
            },
            values["provenance"],
        )


def constants_file(machine: Machine) -> Path:
    """Return the file of a machine's constants; ValueError for a machine that was not measured."""
    if machine not in get_args(Machine):
        raise ValueError(f"there are constants of {' and '.join(get_args(Machine))}, not of {machine!r}")
    return Path(__file__).with_name(f"capacity_constants_{machine}.json")


@dataclass(frozen=True)
class Demand:
    """What is to be served, and with what machines. ``batch`` queries travel in one call to a shard."""

    codes: int
    qps: float
    question: Question
    replicas: int
    memory_per_node: int
    cores_per_node: int
    batch: int = 1

    def __post_init__(self) -> None:
        for name in ("codes", "replicas", "cores_per_node", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.qps < math.inf:
            raise ValueError(f"qps must be a number above 0, got {self.qps}")
        if self.memory_per_node < 1 << 30:
            raise ValueError(f"memory-per-node must be at least 1G, got {self.memory_per_node} bytes")


@dataclass(frozen=True)
class CapacityPlan:
    """What a demand takes, as the model has it; times in milliseconds, sizes in bytes."""

    shards: int
    codes_per_shard: int
    segments_per_shard: int
    bytes_per_code: float
    memory_per_shard: int
    memory: int
    replicas: int
    bound_by: Literal["memory", "throughput"]
    shard_nodes: int
    searchers: int
    searcher_nodes: int
    nodes: int
    engine_ms: float
    qps_per_node: float
    busy: float
    wait_ms: float
    ray_ms: float
    p50_ms: float
    p99_ms: float
    build_hours: float
    beyond_measurement: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)


def plan_capacity(demand: Demand, constants: Constants) -> CapacityPlan:
    """Compute what serving ``demand`` takes.

    A node holds one copy of one shard, as many codes as its memory takes: fewer, larger shards cost less, as
    a query's work grows slower than the number of codes. Copies are added until the cores of a shard's nodes
    are at most BUSY_SHARE busy. Raises ValueError for what cannot be.
    """
    question = demand.question
    shards = _number_of_shards(demand)
    per_shard = -(-demand.codes // shards)
    segments = -(-per_shard // MAX_SEGMENT_ROWS)
    weight = bytes_per_code(question.n_bits, per_shard / segments)
    engine_s = segments * query_ns(question, per_shard / segments, constants.search) * 1e-9
    spread = spread_of(constants.tails[question.workload].of(question))
    around = constants.cluster
    # What one query takes of a core of a shard's node, and what all threads of a node answer.
    call_s = (around.python_us + around.ray_actor_cpu_us) * 1e-6
    service_s = engine_s * mean_of(spread) + call_s / demand.batch
    cores = demand.cores_per_node * (around.thread_efficiency if demand.cores_per_node > 1 else 1.0)
    node_qps = cores / service_s
    # An error of rounding must not ask for one copy more.
    replicas = max(demand.replicas, math.ceil(demand.qps / (node_qps * BUSY_SHARE) - 1e-9))
    busy = demand.qps / (replicas * node_qps)
    wait_s = demand.batch * service_s * _wait(demand.cores_per_node, busy)
    caller_s = demand.qps / demand.batch * shards * around.ray_caller_cpu_us * 1e-6
    searchers = math.ceil(caller_s / BUSY_SHARE)
    # They run on cores that the shards leave idle, and on nodes of their own beyond these.
    idle = int(shards * replicas * demand.cores_per_node * (BUSY_SHARE - busy))
    searcher_nodes = -(-max(0, searchers - idle) // demand.cores_per_node)
    ray_s = (around.ray_call_us + (shards - 1) * around.ray_more_shards_us) * 1e-6
    fixed_s = ray_s + wait_s + around.python_us * 1e-6
    slowest_s = {q: engine_s * slowest_of(shards, q, spread=spread, batch=demand.batch) for q in (0.5, 0.99)}
    return CapacityPlan(
        shards=shards,
        codes_per_shard=per_shard,
        segments_per_shard=segments,
        bytes_per_code=weight,
        memory_per_shard=int(weight * per_shard),
        memory=int(weight * per_shard) * shards * replicas,
        replicas=replicas,
        bound_by="throughput" if replicas > demand.replicas else "memory",
        shard_nodes=shards * replicas,
        searchers=searchers,
        searcher_nodes=searcher_nodes,
        nodes=shards * replicas + searcher_nodes,
        engine_ms=engine_s * 1e3,
        qps_per_node=node_qps * BUSY_SHARE,
        busy=busy,
        wait_ms=wait_s * 1e3,
        ray_ms=ray_s * 1e3,
        p50_ms=(fixed_s + slowest_s[0.5]) * 1e3,
        p99_ms=(fixed_s + slowest_s[0.99]) * 1e3,
        build_hours=per_shard / (around.build_codes_per_core_s * cores) / 3600,
        beyond_measurement=_beyond(demand, per_shard / segments, constants.provenance),
    )


def slower_plan(demand: Demand, constants: Constants) -> CapacityPlan:
    """Return the plan for that workload, uniform or clustered, whose queries take longer."""
    workloads: tuple[Workload, ...] = ("uniform", "clustered")
    plans = []
    for workload in workloads:
        asked = demand.question
        question = Question(asked.n_bits, workload, radius=asked.radius, k=asked.k)
        plans.append(plan_capacity(_replaced(demand, question), constants))
    return max(plans, key=lambda plan: plan.engine_ms)


def spread_of(tail: float) -> float:
    """Return the standard deviation of the logarithm of times whose 99th percentile is ``tail`` medians."""
    return math.log(max(tail, 1.0)) / NormalDist().inv_cdf(0.99)


def mean_of(spread: float) -> float:
    """Return the mean of log-normal times, in medians."""
    return math.exp(spread**2 / 2)


def slowest_of(shards: int, quantile: float, *, spread: float, batch: int = 1) -> float:
    """Return a quantile of the slowest of ``shards`` answers to ``batch`` queries, in medians of one query.

    The sum of independent log-normal times is taken as log-normal with their mean and variance (Fenton 1960);
    the slowest of S is below x as often as one is, to the power of S.
    """
    narrowed = math.sqrt(math.log1p(math.expm1(spread**2) / batch))
    median = batch * math.exp((spread**2 - narrowed**2) / 2)
    return median * math.exp(narrowed * NormalDist().inv_cdf(quantile ** (1 / shards)))


def _wait(servers: int, busy: float) -> float:
    """Return the mean wait in a queue before ``servers`` servers, in service times (Sakasegawa 1977)."""
    return busy ** (math.sqrt(2 * (servers + 1)) - 1) / (servers * (1 - busy))


def _number_of_shards(demand: Demand) -> int:
    usable = demand.memory_per_node * MEMORY_SHARE

    def fits(shards: int) -> bool:
        per_shard = -(-demand.codes // shards)
        segments = -(-per_shard // MAX_SEGMENT_ROWS)
        return per_shard * bytes_per_code(demand.question.n_bits, per_shard / segments) <= usable

    # Bytes a code vary a little with the size of a shard, so the least number that fits is looked for near
    # the one that they would give if they did not.
    shards = max(1, int(demand.codes * 4 / usable))
    while not fits(shards):
        shards += max(1, shards // 1000)
        if shards > _MOST_SHARDS:
            raise ValueError(
                f"{demand.codes} codes would need more than {_MOST_SHARDS} nodes of "
                f"{demand.memory_per_node} bytes; give nodes with more --memory-per-node"
            )
    return shards


def _beyond(demand: Demand, segment: float, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = min(provenance["sizes"]), max(provenance["sizes"])
    beyond = []
    if not low <= segment <= high:
        beyond.append(f"segments of {segment:.3g} codes (measured: {low:.0e} to {high:.0e})")
    if demand.question.n_bits != provenance["n_bits"]:
        beyond.append(f"codes of {demand.question.n_bits} bits (measured: {provenance['n_bits']})")
    if demand.question.radius is not None and demand.question.radius > max(provenance["radii"]):
        beyond.append(f"radius {demand.question.radius} (measured: up to {max(provenance['radii'])})")
    if demand.cores_per_node > provenance["cores"]:
        beyond.append(f"{demand.cores_per_node} cores a node (measured: {provenance['cores']})")
    return tuple(beyond)


def _replaced(demand: Demand, question: Question) -> Demand:
    return Demand(
        demand.codes,
        demand.qps,
        question,
        demand.replicas,
        demand.memory_per_node,
        demand.cores_per_node,
        demand.batch,
    )
