"""``hashnet crosscheck``: are the answers right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.cli.options import IndexArgument, JsonOption, ProgressOption, SeedOption


def crosscheck(
    index: IndexArgument,
    *,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries", metavar="Q.npy", help="Packed query codes; default: a sample, see --sample."
        ),
    ] = None,
    radius: Annotated[
        int | None, typer.Option("--radius", help="Ask for all codes within this distance; default 2.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="Ask for the k nearest; default 10.")] = None,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            min=1,
            help="Queries to draw: codes of the index, half of them with some bits flipped.",
        ),
    ] = 100,
    seed: SeedOption = 0,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Ask hashnet, a linear scan and FAISS the same questions and compare ids, distances and order.

    Exits with 1 on any mismatch.
    """
    from hashnet.cli.output import print_json
    from hashnet.cli.questions import draw_queries, load_queries
    from hashnet.evaluation import crosscheck as compare
    from hashnet.index import open_index
    from hashnet.progress import make_progress

    with open_index(index) as opened:
        codes, ids = opened.export()
        asked = load_queries(queries) if queries else draw_queries(codes, sample, seed=seed)
        if radius is None and k is None:
            radius, k = min(2, opened.n_bits), min(10, len(opened))
        report = compare(opened, codes, ids, asked, radius=radius, k=k, progress=make_progress(progress))
    if json:
        print_json(report.to_json())
    else:
        typer.echo(str(report))
        typer.echo(f"mismatches: {report.n_mismatches}")
    if not report.ok:
        raise typer.Exit(1)
