"""``hashnet search --output``: the answers to many queries as a Parquet file."""

from __future__ import annotations

import time
from pathlib import Path

from hashnet.progress import Progress


def answer_in_bulk(
    index: Path,
    queries: Path,
    output: Path,
    *,
    k: int | None,
    radius: int | None,
    count: bool,
    workers: int,
    threads: int | None,
    preload: bool,
    ray: str | None,
    json: bool,
    progress: Progress,
) -> None:
    """Answer into ``output`` and print what was done."""
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.distributed.authentication import demand_token

    if workers:
        demand_token(address=ray)
    from hashnet.distributed import search_to_file

    began = time.perf_counter()
    rows = search_to_file(
        index,
        queries,
        output,
        k=k,
        radius=radius,
        count=count,
        workers=workers,
        threads=threads,
        preload=preload,
        address=ray,
        progress=progress,
    )
    facts = {
        "index": index,
        "queries": queries,
        "output": output,
        "rows": rows,
        "bytes": output.stat().st_size,
        "seconds": round(time.perf_counter() - began, 3),
    }
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"answered into {output}")
