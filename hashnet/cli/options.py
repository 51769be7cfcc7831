"""Options that several commands share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.progress import ProgressMode

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
ProgressOption = Annotated[
    ProgressMode,
    typer.Option("--progress", help="Progress on stderr; auto: bars on a terminal, else nothing."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="DATA",
        help="digits (embedded), an image folder (a class per sub-folder, or flat), a .csv or .txt list of "
        "paths and labels, or an image pack .npz.",
    ),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="Split, R and seed of a named protocol; hashnet protocol lists them. Default: the data's split.",
    ),
]
ImageRootOption = Annotated[
    Path | None,
    typer.Option("--image-root", metavar="DIR", help="Folder that the paths of a list are relative to."),
]
ModelOption = Annotated[
    Path, typer.Option("--model", metavar="MODEL", help="Model directory that hashnet train wrote.")
]
IndexArgument = Annotated[Path, typer.Argument(metavar="INDEX", help="Index directory, like photos.hnx.")]
SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CODES",
        help="Code store (the directory that hashnet encode wrote), or a file of packed codes: .npy, .u8bin, "
        "or .bin and .raw with --n-bits.",
    ),
]
NBitsOption = Annotated[
    int | None, typer.Option("--n-bits", help="Bits of a code, for files without a header.")
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory", metavar="SIZE", help="Working memory beside the index, like 512M or 4G; default 4G."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of the engine; default: all cores.")
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="auto|local|HOST:PORT",
        help="With workers: auto joins the Ray cluster of this machine, HOST:PORT the one with its head node "
        "there, local starts one for this command. Default: RAY_ADDRESS if set, else local.",
    ),
]


def examples(*lines: str) -> str:
    """Return the epilog that shows ``lines`` as example commands."""
    return "\n\n".join(["[bold]Examples[/bold]", *(f"  $ {line}" for line in lines)])
