"""``hashnet plan``: what serving an index takes, before it exists."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hashnet.cli.options import JsonOption


def plan(
    *,
    codes: Annotated[str, typer.Option("--codes", metavar="N", help="Number of codes, like 1e11.")],
    bits: Annotated[int, typer.Option("--bits", help="Bits of a code, up to 64.")] = 64,
    qps: Annotated[float, typer.Option("--qps", help="Queries a second.")] = 1000.0,
    k: Annotated[int | None, typer.Option("--k", help="Ask for the k nearest; default 10.")] = None,
    radius: Annotated[
        int | None, typer.Option("--radius", help="Ask for all within this Hamming distance, inclusive.")
    ] = None,
    replicas: Annotated[
        int, typer.Option("--replicas", help="Copies of each shard, so that one can fail; more where needed.")
    ] = 1,
    memory_per_node: Annotated[
        str, typer.Option("--memory-per-node", metavar="SIZE", help="Memory of a node.")
    ] = "256G",
    cores_per_node: Annotated[int, typer.Option("--cores-per-node", help="Cores of a node.")] = 32,
    batch: Annotated[
        int, typer.Option("--batch", help="Queries that travel in one call to a shard; more save calls.")
    ] = 1,
    workload: Annotated[
        Literal["slower", "uniform", "clustered"],
        typer.Option("--workload", help="How codes are spread; slower: whichever of the two takes longer."),
    ] = "slower",
    measured_on: Annotated[
        Literal["avx512", "avx2"],
        typer.Option("--measured-on", help="Whose constants: 2 cores with AVX-512, or older ones with AVX2."),
    ] = "avx512",
    json: JsonOption = False,
) -> None:
    """Compute shards, memory, nodes and latency from constants measured on a machine.

    distributed/README.md explains the model and its limits.
    """
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.cli.sources import parse_memory
    from hashnet.distributed.capacity import Constants, Demand, plan_capacity, slower_plan
    from hashnet.distributed.capacity_model import Question

    if k is None and radius is None:
        k = 10
    question = Question(bits, "uniform" if workload == "slower" else workload, radius=radius, k=k)
    demand = Demand(
        codes=parse_count(codes),
        qps=qps,
        question=question,
        replicas=replicas,
        memory_per_node=parse_memory(memory_per_node) or 0,
        cores_per_node=cores_per_node,
        batch=batch,
    )
    constants = Constants.read(measured_on)
    computed = (slower_plan if workload == "slower" else plan_capacity)(demand, constants)
    if json:
        print_json({"demand": demand, "workload": workload, "measured_on": measured_on, "plan": computed})
        return
    facts = computed.to_json()
    for name in ("memory", "memory_per_shard"):
        facts[name] = f"{facts[name] / 2**30:,.1f} GiB"
    for name in ("p50_ms", "p99_ms", "engine_ms", "wait_ms", "ray_ms"):
        facts[name] = round(facts[name], 4)
    facts["beyond_measurement"] = "; ".join(computed.beyond_measurement) or None
    asked = f"k {k}" if radius is None else f"radius {radius}"
    title = f"{demand.codes:,} codes of {bits} bits, {asked}, {qps:,g} queries/s, constants of {measured_on}"
    print_pairs({name.replace("_", " "): value for name, value in facts.items()}, title=title)


def parse_count(text: str) -> int:
    """Return the whole number that ``text`` means, also as 1e11; raise ValueError for anything else."""
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        number = -1.0
    if not 1 <= number < 1e18 or number != int(number):
        raise ValueError(f"--codes must be a whole number from 1 to 1e18, like 1e11, got {text!r}")
    return int(number)
