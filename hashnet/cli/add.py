"""``hashnet add``: more codes into an index."""

from __future__ import annotations

from typing import Annotated

import typer

from hashnet.cli.options import (
    IndexArgument,
    JsonOption,
    MemoryOption,
    NBitsOption,
    ProgressOption,
    SourceArgument,
    ThreadsOption,
)


def add(
    index: IndexArgument,
    codes: SourceArgument,
    *,
    again: Annotated[
        bool,
        typer.Option("--again", help="Add images that are in the index already once more, under new ids."),
    ] = False,
    n_bits: NBitsOption = None,
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Add encoded images to an index, which must come from the same model, or a file of codes."""
    from hashnet.cli.info import describe_index
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.cli.sources import open_source, parse_memory
    from hashnet.encoding import add_to_index
    from hashnet.progress import make_progress

    added = add_to_index(
        open_source(codes, n_bits),
        index,
        again=again,
        threads=threads,
        memory=parse_memory(memory),
        progress=make_progress(progress),
    )
    facts = {"added": added, **describe_index(index)}
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"added to {index}")
