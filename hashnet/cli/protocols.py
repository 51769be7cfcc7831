"""``hashnet protocol``: the named protocols, and what one makes of data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashnet.cli.options import ImageRootOption, JsonOption

if TYPE_CHECKING:
    from hashnet.datasets import Protocol, ProtocolData


def protocol(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Default: list all.")] = None,
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="An image pack, a folder, a list with a split; for published lists their folder, or an .npz "
            "of label lists.",
        ),
    ] = None,
    image_root: ImageRootOption = None,
    json: JsonOption = False,
) -> None:
    """List the protocols, show one, or check data by it: counts, faults, checksum, pair weights."""
    from hashnet.cli.output import print_json, print_pairs, print_table
    from hashnet.datasets import PROTOCOLS
    from hashnet.datasets.protocols import find_protocol

    if name is None:
        if data is not None:
            raise ValueError("--data needs the name of a protocol; hashnet protocol lists them")
        listed = [describe(one) for one in PROTOCOLS.values()]
        if json:
            print_json({"protocols": listed})
        else:
            columns = ["protocol", "R", "database", "queries", "train", "title"]
            keys = ["protocol", "R", "n_database", "n_query", "n_train", "title"]
            print_table(columns, [[one[key] for key in keys] for one in listed])
        return
    facts = describe(find_protocol(name)) if data is None else check(name, data, image_root)
    if json:
        print_json(facts)
        return
    faults = facts.pop("faults", [])
    print_pairs(facts, title=f"protocol {name}")
    for fault in faults:
        typer.echo(f"fault: {fault}")


def describe(one: Protocol) -> dict[str, Any]:
    """Return a protocol as it is written down."""
    return {
        "protocol": one.name,
        "title": one.title,
        "source": one.source,
        "split": one.split,
        "sampling": one.sampling,
        "similarity": one.similarity,
        "R": "database" if one.at is None else one.at,
        "seed": one.seed,
        "n_classes": one.n_classes or None,
        "n_database": one.n_database or None,
        "n_query": one.n_query,
        "n_train": one.n_train,
    }


def check(name: str, data: str, image_root: Path | None) -> dict[str, Any]:
    """Return what a protocol makes of ``data``, with the weights of the pairs of its training set."""
    from hashnet.datasets import open_protocol

    opened = open_protocol(name, data=data, image_root=image_root)
    return {**opened.describe(), **pair_facts(opened)}


def pair_facts(opened: ProtocolData) -> dict[str, Any]:
    """Return |S|/|S1| and |S|/|S0| of the training set (HashNet, eq. 2), None where no pair is such."""
    from hashnet.losses import count_pairs

    counts = count_pairs(opened.labels[opened.train])
    total = counts.similar + counts.dissimilar
    return {
        "weight_similar": total / counts.similar if counts.similar else None,
        "weight_dissimilar": total / counts.dissimilar if counts.dissimilar else None,
    }
