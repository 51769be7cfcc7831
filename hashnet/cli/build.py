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
    """Build an exact Hamming index from encoded images or from a file of codes of any size."""
    from hashnet.cli.info import describe_index
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.cli.sources import open_source, parse_memory
    from hashnet.encoding import build_index
    from hashnet.index import LayoutOptions
    from hashnet.progress import make_progress

    build_index(
        open_source(codes, n_bits),
        output,
        segments=shards,
        layout=LayoutOptions(tables=tables, directory_bits=directory_bits, select_bits=select_bits),
        threads=threads,
        memory=parse_memory(memory),
        progress=make_progress(progress),
    )
    facts = describe_index(output)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"built {output}")
