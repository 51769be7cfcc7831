"""``hashnet build``: an index from a code store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.cli.options import CodesArgument, JsonOption, ProgressOption


def build(
    codes: CodesArgument,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="INDEX", help="Index directory to create, like photos.hnx."),
    ],
    shards: Annotated[
        int,
        typer.Option(
            "--shards", min=1, help="Write this many segments, so that as many shards can serve the index."
        ),
    ] = 1,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Build an exact Hamming index from encoded images."""
    from hashnet.cli.info import describe_index
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.encoding import CodeStore, build_index
    from hashnet.progress import make_progress

    build_index(CodeStore.open(codes), output, segments=shards, progress=make_progress(progress))
    facts = describe_index(output)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"built {output}")
