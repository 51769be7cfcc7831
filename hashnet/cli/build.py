"""``hashnet build``: an index from a code store or a code file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.cli.options import (
    JsonOption,
    MemoryOption,
    NBitsOption,
    ProgressOption,
    RayOption,
    SourceArgument,
    ThreadsOption,
)


def build(
    codes: SourceArgument,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="INDEX", help="Index directory to create, like photos.hnx."),
    ],
    n_bits: NBitsOption = None,
    shards: Annotated[
        int,
        typer.Option(
            "--shards", min=1, help="Write this many segments, so that as many shards can serve the index."
        ),
    ] = 1,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            help="Ray workers that build the shards side by side; 0 builds in this process, without Ray.",
        ),
    ] = 0,
    ray: RayOption = None,
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    tables: Annotated[
        int | None, typer.Option("--tables", min=1, help="Number of substrings; default: by size.")
    ] = None,
    directory_bits: Annotated[
        int | None,
        typer.Option("--directory-bits", min=1, help="Width of a directory address; default: by size."),
    ] = None,
    select_bits: Annotated[
        bool,
        typer.Option(
            "--select-bits/--no-select-bits",
            help="Choose from a sample which bits share a substring, or take neighbouring ones.",
        ),
    ] = True,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Build an exact Hamming index from encoded images or from a file of codes of any size.

    With --workers, --memory is for all workers of a machine together, and a build that was cut off goes on
    where it was.
    """
    from hashnet.cli.info import describe_index
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.cli.sources import open_source, parse_memory
    from hashnet.index import LayoutOptions
    from hashnet.progress import make_progress

    # Whatever is wrong with it is told before Ray is started.
    source = open_source(codes, n_bits)
    layout = LayoutOptions(tables=tables, directory_bits=directory_bits, select_bits=select_bits)
    watched = make_progress(progress)
    if workers:
        from hashnet.distributed.authentication import demand_token

        demand_token(address=ray)
        from hashnet.distributed import build_with_ray

        build_with_ray(
            codes,
            output,
            n_bits=n_bits,
            shards=shards,
            workers=workers,
            layout=layout,
            threads=threads,
            memory=parse_memory(memory),
            address=ray,
            progress=watched,
        )
    else:
        from hashnet.encoding import build_index

        build_index(
            source,
            output,
            segments=shards,
            layout=layout,
            threads=threads,
            memory=parse_memory(memory),
            progress=watched,
        )
    facts = describe_index(output)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"built {output}")
