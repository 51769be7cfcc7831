"""``hashnet add``: more codes into an index."""

from __future__ import annotations

from typing import Annotated

import typer

from hashnet.cli.options import CodesArgument, IndexArgument, JsonOption, ProgressOption


def add(
    index: IndexArgument,
    codes: CodesArgument,
    *,
    again: Annotated[
        bool,
        typer.Option("--again", help="Add images that are in the index already once more, under new ids."),
    ] = False,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Add encoded images to an index; they must come from the same model."""
    from hashnet.cli.info import describe_index
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.encoding import CodeStore, add_to_index
    from hashnet.progress import make_progress

    added = add_to_index(CodeStore.open(codes), index, again=again, progress=make_progress(progress))
    facts = {"added": added, **describe_index(index)}
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"added to {index}")
