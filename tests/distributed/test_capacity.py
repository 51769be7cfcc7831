"""The capacity model: against every stored measurement, against one unseen, and its arithmetic."""

import math
from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest
from codesets import make_codes
from hashnet.distributed.capacity import (
    BUSY_SHARE,
    MEMORY_SHARE,
    Constants,
    Demand,
    Machine,
    mean_of,
    plan_capacity,
    slower_plan,
    slowest_of,
    spread_of,
)
from hashnet.distributed.capacity_fit import fit_search, measurements_of
from hashnet.distributed.capacity_model import (
    Question,
    bytes_per_code,
    matches_within,
    probe_ns,
    query_ns,
    reach_of,
    substrings,
    work_of,
)

import hashnet
from benchmarks.bench_capacity import sources

# What the README promises of each machine.
FIT, RATE, WEIGHT = 1.6, 2.2, 1.01
UNSEEN = {"avx512": 1.5, "avx2": 1.7}
GIB = 1 << 30


@pytest.fixture(scope="module", params=get_args(Machine))
def machine(request):
    return request.param


@pytest.fixture(scope="module")
def results(machine):
    return list(sources(machine).values())


@pytest.fixture(scope="module")
def measured(results):
    return [one for result in results for one in measurements_of(result)]


@pytest.fixture(scope="module")
def constants(machine):
    return Constants.read(machine)


def worst(ratios):
    return max(max(ratio, 1 / ratio) for ratio in ratios)


def test_every_measured_time_lies_within_the_stated_factor(measured, constants):
    assert len(measured) == 60
    assert worst(query_ns(m.question, m.n_codes, constants.search) / m.engine_ns for m in measured) < FIT


def test_a_billion_codes_are_foretold_from_smaller_indexes(machine, measured, constants):
    seen = [m for m in measured if m.n_codes < 10**9]
    foretold = fit_search(seen, scan_ns=constants.search.scan_ns)
    unseen = [m for m in measured if m.n_codes == 10**9]
    assert len(unseen) == 20
    assert worst(query_ns(m.question, m.n_codes, foretold) / m.engine_ns for m in unseen) < UNSEEN[machine]


def test_every_measured_rate_lies_within_the_stated_factor(measured, constants):
    ratios = []
    for m in measured:
        spread = spread_of(constants.tails[m.question.workload].of(m.question))
        rate = 1e9 / (query_ns(m.question, m.n_codes, constants.search) * mean_of(spread))
        ratios.append(rate / m.batch_qps)
    assert worst(ratios) < RATE


def test_every_measured_weight_lies_within_the_stated_factor(results):
    pairs = [
        (bytes_per_code(64, result["protocol"]["n"]), figures["index"]["bytes a code"])
        for result in results
        for figures in result["figures"].values()
    ]
    assert len(pairs) == 6
    assert worst(model / found for model, found in pairs) < WEIGHT


def test_the_stored_constants_are_those_of_the_stored_figures(measured, constants):
    """Where it fails, the figures are newer: run python -m benchmarks.bench_capacity --refit --machine it."""
    fitted = fit_search(measured, scan_ns=constants.search.scan_ns)
    for name in (field.name for field in fields(fitted)):
        assert getattr(constants.search, name) == pytest.approx(getattr(fitted, name), rel=1e-6)


@pytest.mark.parametrize(("n_bits", "n"), [(64, 100_000), (64, 3000), (32, 50_000), (48, 20_000), (16, 5000)])
def test_the_layout_is_that_of_the_engine(n_bits, n):
    index = hashnet.Index.in_memory(n_bits=n_bits)
    index.add(make_codes("uniform", n, n_bits, np.random.default_rng(0)))
    stats = index.stats()
    assert stats.layouts[0].substring_bits == substrings(n_bits, stats.n_distinct)


def test_probes_and_candidates_are_those_of_the_engine():
    index = hashnet.Index.in_memory(n_bits=64)
    codes = make_codes("uniform", 300_000, 64, np.random.default_rng(0))
    index.add(codes)
    for radius in range(10):
        plan = index.explain(codes[7], radius=radius).segments[0]
        work = work_of(Question(64, "uniform", radius=radius), 300_000)
        assert not plan.scan
        assert plan.probes == work.probes
        assert plan.candidates == pytest.approx(work.candidates, rel=0.15)


def test_matches_are_those_of_counting():
    rng = np.random.default_rng(1)
    codes = make_codes("uniform", 200_000, 32, rng)
    index = hashnet.Index.in_memory(n_bits=32)
    index.add(codes)
    queries = make_codes("uniform", 500, 32, rng)
    mean = index.count_radius(queries, 6).mean()
    assert matches_within(Question(32, "uniform", radius=6), 200_000, 6) == pytest.approx(mean, rel=0.1)


def test_the_reach_of_k_holds_k_matches():
    question = Question(64, "uniform", k=100)
    reach = reach_of(question, 1e9)
    assert (
        matches_within(question, 1e9, math.floor(reach))
        < 100
        <= matches_within(question, 1e9, math.ceil(reach))
    )


def test_few_codes_are_scanned(constants):
    question = Question(64, "uniform", radius=16)
    assert query_ns(question, 1000, constants.search) == pytest.approx(
        constants.search.call_ns + 1000 * constants.search.scan_ns
    )


def test_a_probe_costs_most_in_memory():
    # On AVX2 the fit finds a probe as dear at 1e7, whose directory is beyond that core's cache.
    search = Constants.read("avx512").search
    times = [probe_ns(n, search) for n in (1e6, 1e7, 3e7, 1e8, 1e10)]
    assert times[0] == times[1] == search.cached_probe_ns
    assert times[1] < times[2] < times[3] == times[4] == search.probe_ns


def test_a_machine_that_was_not_measured_is_refused():
    with pytest.raises(ValueError, match="constants of avx512 and avx2, not of 'neon'"):
        Constants.read("neon")


def demand(**changes):
    facts = {
        "codes": 10**11,
        "qps": 5000.0,
        "question": Question(64, "uniform", radius=4),
        "replicas": 2,
        "memory_per_node": 256 * GIB,
        "cores_per_node": 32,
    }
    return Demand(**{**facts, **changes})


def test_shards_fit_their_nodes_and_no_fewer_would(constants):
    plan = plan_capacity(demand(), constants)
    usable = 256 * GIB * MEMORY_SHARE
    assert plan.memory_per_shard <= usable
    assert plan.shards == 9
    assert 10**11 / (plan.shards - 1) * plan.bytes_per_code > usable
    assert plan.shard_nodes == plan.shards * 2
    assert plan.memory == plan.memory_per_shard * plan.shard_nodes
    assert plan.segments_per_shard == 3
    assert plan.bound_by == "memory"


def test_copies_are_added_until_the_cores_suffice(constants):
    few = plan_capacity(demand(), constants)
    many = plan_capacity(demand(qps=10 * few.qps_per_node), constants)
    assert many.bound_by == "throughput"
    assert many.replicas == 10
    assert many.busy <= BUSY_SHARE + 1e-9
    assert many.shards == few.shards


def test_more_of_everything_costs_more(constants):
    base = plan_capacity(demand(), constants)
    assert plan_capacity(demand(codes=2 * 10**11), constants).nodes > base.nodes
    assert plan_capacity(demand(replicas=3), constants).nodes > base.nodes
    assert plan_capacity(demand(memory_per_node=128 * GIB), constants).shards > base.shards
    wide = plan_capacity(demand(question=Question(64, "uniform", radius=8)), constants)
    assert wide.engine_ms > 5 * base.engine_ms
    assert wide.qps_per_node < base.qps_per_node
    assert base.p50_ms < base.p99_ms


def test_a_batch_saves_calls_and_takes_longer(constants):
    one, many = plan_capacity(demand(), constants), plan_capacity(demand(batch=64), constants)
    assert many.searchers < one.searchers
    assert many.qps_per_node > one.qps_per_node
    assert many.p50_ms > one.p50_ms


def test_the_slower_workload_is_the_slower(constants):
    for question in (Question(64, "uniform", radius=8), Question(64, "uniform", k=10)):
        other = replace(question, workload="clustered")
        both = [plan_capacity(demand(question=one), constants).engine_ms for one in (question, other)]
        assert slower_plan(demand(question=question), constants).engine_ms == max(both)


def test_what_lies_beyond_the_measurements_is_told(constants):
    inside = plan_capacity(demand(codes=10**9, cores_per_node=2), constants)
    assert inside.beyond_measurement == ()
    outside = plan_capacity(demand(question=Question(48, "uniform", radius=12)), constants)
    assert [note.split()[0] for note in outside.beyond_measurement] == ["segments", "codes", "32"]


def test_the_slowest_of_many_is_what_sampling_says():
    rng, spread = np.random.default_rng(0), 0.8
    times = rng.lognormal(0.0, spread, (20_000, 8, 16)).sum(axis=2).max(axis=1)
    for quantile in (0.5, 0.99):
        said = slowest_of(8, quantile, spread=spread, batch=16)
        assert said == pytest.approx(np.quantile(times, quantile), rel=0.08)


def test_a_tail_is_interpolated_between_those_measured(constants):
    tail = constants.tails["clustered"]
    assert tail.of(Question(64, "clustered", k=10)) == pytest.approx(dict(tail.k)[10])
    low, high = sorted((dict(tail.k)[10], dict(tail.k)[100]))
    assert low < tail.of(Question(64, "clustered", k=30)) < high


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Question(128, "uniform", radius=1), "bits must be a multiple of 8 up to 64, got 128"),
        (lambda: Question(12, "uniform", radius=1), "bits must be a multiple of 8"),
        (lambda: Question(64, "uniform"), "either --radius or --k"),
        (lambda: Question(64, "uniform", radius=1, k=1), "either --radius or --k"),
        (lambda: Question(64, "uniform", radius=17), "radius must be from 0 to 16"),
        (lambda: Question(64, "uniform", k=0), "k must be from 1 to 1000, got 0"),
        (lambda: demand(replicas=0), "replicas must be at least 1, got 0"),
        (lambda: demand(qps=0.0), "qps must be a number above 0, got 0"),
        (lambda: demand(memory_per_node=1), "memory-per-node must be at least 1G"),
    ],
)
def test_what_cannot_be_planned_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_codes_without_end_are_refused(constants):
    with pytest.raises(ValueError, match="more than 1000000 nodes"):
        plan_capacity(demand(codes=10**17, memory_per_node=GIB), constants)
