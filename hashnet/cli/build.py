"""``hashnet build``: an index from a code store or a code file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashnet.cli.options import JsonOption, ProgressOption, ThreadsOption

if TYPE_CHECKING:
    from hashnet.codes import Codes
    from hashnet.encoding import CodeStore


def build(
    codes: Annotated[
        Path,
        typer.Argument(
            metavar="CODES",
            help="Code store (the directory that hashnet encode wrote), or a file of packed codes: .npy, "
            ".u8bin, or .bin and .raw with --n-bits.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="INDEX", help="Index directory to create, like photos.hnx."),
    ],
    n_bits: Annotated[
        int | None, typer.Option("--n-bits", help="Bits of a code, for files without a header.")
    ] = None,
    shards: Annotated[
        int,
        typer.Option(
            "--shards", min=1, help="Write this many segments, so that as many shards can serve the index."
        ),
    ] = 1,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="SIZE", help="Working memory beside the index, like 512M or 4G; default 4G."
        ),
    ] = None,
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
    from hashnet.cli.sizes import parse_bytes
    from hashnet.encoding import build_index
    from hashnet.index import LayoutOptions
    from hashnet.progress import make_progress

    build_index(
        _open_source(codes, n_bits),
        output,
        segments=shards,
        layout=LayoutOptions(tables=tables, directory_bits=directory_bits, select_bits=select_bits),
        threads=threads,
        memory=None if memory is None else parse_bytes(memory, name="--memory"),
        progress=make_progress(progress),
    )
    facts = describe_index(output)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"built {output}")


def _open_source(path: Path, n_bits: int | None) -> CodeStore | Codes:
    from hashnet.encoding import CodeStore
    from hashnet.index import open_codes
    from hashnet.index.code_files import SUFFIXES

    if path.is_file() or (path.suffix in SUFFIXES and not path.exists()):
        return open_codes(path, n_bits=n_bits)
    if n_bits is not None:
        raise ValueError(f"--n-bits is for code files, and {path} is none: a code store knows its own")
    return CodeStore.open(path)
