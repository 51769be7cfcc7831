"""``hashnet demo``: everything once, on an embedded data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.cli.options import JsonOption, ProgressOption, SeedOption


def demo(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for model, index and report.")
    ] = Path("demo"),
    seed: SeedOption = 1,
    bits: Annotated[
        int, typer.Option("--bits", help="Length of a code: a multiple of 8 from 8 to 1024.")
    ] = 32,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Ray workers that encode.")] = 2,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Train, encode, index, search, cross-check and evaluate 1,797 handwritten digits; writes a report.

    Nothing is downloaded. Takes about two minutes on 2 cores. Exits with 1 if any answer is wrong.
    """
    from hashnet.cli.demo_page import figures, summary, write_page
    from hashnet.cli.demonstration import demonstrate, prepare
    from hashnet.cli.output import as_json, print_json, print_pairs
    from hashnet.codes import check_n_bits
    from hashnet.files import write_atomically
    from hashnet.progress import make_progress

    check_n_bits(bits)
    prepare(output)
    watched = make_progress(progress)
    done = demonstrate(output, seed=seed, n_bits=bits, workers=workers, progress=watched)
    watched.start("write report", None)
    report = output / "report.html"
    write_page(report, done, seed=seed)
    measured = figures(done)
    write_atomically(output / "figures.json", as_json(measured).encode())
    watched.finish()
    if json:
        print_json({**measured, "report": report})
    else:
        print_pairs(summary(done), title=f"{len(done.images):,} digits, {bits}-bit codes, seed {seed}")
        typer.echo(f"report: {report}")
    if done.n_mismatches:
        raise typer.Exit(1)
