"""``hashnet hash``: the codes of one's own images, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hashnet.cli.options import ImageRootOption, JsonOption, ModelOption, ProgressOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashnet.cli.hashing import Hashed
    from hashnet.cli.questions import Found


def hash_images(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="An image, a folder of images, a .csv or .txt list, an image pack, or digits.",
        ),
    ],
    *,
    model: ModelOption,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="CODES.npy",
            help="Write packed codes, uint8 (n, n_bits/8), and the paths of the rows to CODES.csv beside it.",
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="OUT.hnx",
            help="Write an index for hashnet search; a half done one is gone on with.",
        ),
    ] = None,
    query: Annotated[
        list[Path] | None,
        typer.Option("--query", metavar="FILE", help="Then show the images nearest to this one; repeatable."),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="With --query: how many; default 10.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="PAGE", help="With --query: picture grid to write.")
    ] = None,
    form: Annotated[
        Literal["hex", "bits"], typer.Option("--format", help="How codes are printed: hex digits or bits.")
    ] = "hex",
    image_root: ImageRootOption = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads that encode; default: all cores.")
    ] = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Hash images with a trained model: print their codes, or write them, or make them searchable.

    Unreadable images are skipped and named. With --query the images are searched at once. For collections
    that do not fit on one machine, or come as streams, there are hashnet encode, build and search.
    """
    from hashnet.cli import hashing
    from hashnet.cli.grid import open_sources, query_pictures, write_grid
    from hashnet.cli.questions import answer, encode_files
    from hashnet.index import open_index
    from hashnet.progress import make_progress

    if (k is not None or html is not None) and not query:
        raise ValueError("--k and --html are for searching; give --query FILE as well")
    if k is not None and k < 1:
        raise ValueError(f"--k must be at least 1, got {k}")
    if device.split(":", 1)[0] not in ("cpu", "cuda"):
        raise ValueError(f"--device must be cpu or cuda, got {device!r}")
    if output is not None and index is not None:
        raise ValueError("give --output CODES.npy or --index OUT.hnx, not both")
    if output is not None:
        hashing.check_output(output)
    watched = make_progress(progress)
    images = hashing.open_to_hash(path, image_root=image_root)
    # A query that cannot be read is told before all the images are hashed.
    asked = encode_files(query, model, wanted=None) if query else None
    if index is not None:
        done = hashing.hash_to_index(model, images, index, device=device, threads=threads, progress=watched)
    else:
        done = hashing.hash_in_memory(model, images, device=device, threads=threads, progress=watched)
    _name_rejects(done.rejects)
    facts: dict[str, Any] = {
        "model": model,
        "fingerprint": done.fingerprint,
        "n_bits": done.n_bits,
        "images": done.n_codes,
        "unreadable": len(done.rejects),
    }
    if output is not None:
        facts |= dict(zip(("codes", "paths"), hashing.write_codes(done, output), strict=True))
    elif index is not None:
        facts["index"] = index
    answers: list[list[Found]] | None = None
    if asked is not None:
        with open_index(index) if index is not None else hashing.index_of(done) as opened:
            answers = answer(opened, asked, k=min(k or 10, len(opened)), radius=None)
        if html is not None:
            facts["html"] = html
            write_grid(
                html,
                answers,
                queries=query_pictures(query, len(asked)),
                sets=open_sources([images.source], image_root=image_root) or [images],
                title=f"Search in {images.name}",
                asked={"k": k or 10, "images": done.n_codes},
            )
    _print(done, facts, answers, query=query or [], form=form, written=bool(output or index), json=json)


def _print(
    done: Hashed,
    facts: dict[str, Any],
    answers: list[list[Found]] | None,
    *,
    query: Sequence[Path],
    form: Literal["hex", "bits"],
    written: bool,
    json: bool,
) -> None:
    from hashnet.cli.hashing import as_written
    from hashnet.cli.output import print_json, print_pairs, print_table

    listed = not written and answers is None
    if json:
        found: dict[str, Any] = {"rejects": [reject._asdict() for reject in done.rejects]}
        if listed:
            written_codes = as_written(done.codes, form)
            found["codes"] = [{"path": p, "code": c} for p, c in zip(done.keys, written_codes, strict=True)]
        if answers is not None:
            pairs = zip(query, answers, strict=True)
            found["answers"] = [{"query": str(q), "neighbors": one} for q, one in pairs]
        print_json({**facts, **found})
        return
    if listed:
        # As sha256sum has it, for other programs to read.
        for code, key in zip(as_written(done.codes, form), done.keys, strict=True):
            typer.echo(f"{code}  {key}")
    else:
        print_pairs(facts, title="hashed")
    for name, one in zip(query, answers or [], strict=False):
        typer.echo(f"query {name}: {len(one):,} codes")
        rows = [(rank, f.distance, str(f.id), f.key) for rank, f in enumerate(one, start=1)]
        print_table(["rank", "distance", "id", "key"], rows)


def _name_rejects(rejects: Sequence[Any], *, shown: int = 20) -> None:
    for reject in rejects[:shown]:
        typer.echo(f"hashnet: skipped {reject.key}: {reject.reason}", err=True)
    if len(rejects) > shown:
        typer.echo(f"hashnet: skipped {len(rejects) - shown:,} more", err=True)
