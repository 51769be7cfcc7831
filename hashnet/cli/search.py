"""``hashnet search``: which of my images look like this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.cli.options import (
    ImageRootOption,
    IndexArgument,
    JsonOption,
    ProgressOption,
    RayOption,
    ThreadsOption,
)


def search(
    index: IndexArgument,
    *,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            metavar="Q.npy",
            help="Packed query codes, uint8 (n, n_bits/8); with --output any code file of any size.",
        ),
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option("--image", metavar="FILE", help="A query image; may be repeated.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="MODEL", help="Model directory; needed with --image.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="The k nearest codes; default 10.")] = None,
    radius: Annotated[
        int | None, typer.Option("--radius", help="All codes within this Hamming distance, inclusive.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="PAGE", help="Picture grid to write; with --image default ./search.html."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Where the pictures of the grid are; default: as encoded. Repeatable.",
        ),
    ] = None,
    image_root: ImageRootOption = None,
    count: Annotated[
        bool, typer.Option("--count", help="With --radius: only how many codes there are, not which.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="HITS.parquet",
            help="Write the answers to this Parquet file (query, rank, id, distance, key; with --count "
            "query, count); a half done one is resumed.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, help="With --output: Ray workers; 0 answers in this process, without Ray."
        ),
    ] = 0,
    ray: RayOption = None,
    preload: Annotated[
        bool,
        typer.Option("--preload", help="Read the index into memory first; pays with thousands of queries."),
    ] = False,
    threads: ThreadsOption = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Find the codes nearest to query codes or images: keys, ids, distances and a picture grid."""
    from hashnet.cli.bulk import answer_in_bulk
    from hashnet.cli.grid import open_sources, query_pictures, write_grid
    from hashnet.cli.output import print_json, print_table
    from hashnet.cli.questions import answer, encode_files, load_queries
    from hashnet.index import open_index
    from hashnet.progress import make_progress

    _check_question(queries, image=image, model=model, k=k, radius=radius, html=html, count=count)
    _check_output(output, queries=queries, html=html, data=data, workers=workers)
    watched = make_progress(progress)
    if output is not None and queries is not None:
        answer_in_bulk(
            index,
            queries,
            output,
            k=k,
            radius=radius,
            count=count,
            workers=workers,
            threads=threads,
            preload=preload,
            ray=ray,
            json=json,
            progress=watched,
        )
        return
    with open_index(index, preload=preload) as opened:
        if queries is not None:
            asked, names = load_queries(queries), None
        else:
            asked = encode_files(image or [], Path(model or ""), wanted=opened.fingerprint)
            names = [str(file) for file in image or []]
        if k is None and radius is None:
            k = min(10, len(opened))
        watched.start("search", len(asked))
        if count and radius is not None:
            counts = opened.count_radius(asked, radius, threads=threads)
            watched.finish()
            _print_counts(index, counts.tolist(), names, radius=radius, n_bits=opened.n_bits, json=json)
            return
        answers = answer(opened, asked, k=k, radius=radius, threads=threads)
        watched.advance(len(asked))
        watched.finish()
        source = opened.metadata.get("source")
    page = html or (Path("search.html") if image else None)
    if page is not None:
        write_grid(
            page,
            answers,
            queries=query_pictures(image, len(asked)),
            sets=open_sources(data or [source], image_root=image_root),
            title=f"Search in {index.name}",
            asked={"k": k, "radius": radius, "queries": len(asked)},
        )
    if json:
        print_json(
            {
                "index": index,
                "n_bits": asked.shape[1] * 8,
                "k": k,
                "radius": radius,
                "answers": [
                    {"query": names[q] if names else q, "neighbors": found} for q, found in enumerate(answers)
                ],
                "html": page,
            }
        )
        return
    for q, found in enumerate(answers):
        typer.echo(f"query {names[q] if names else q}: {len(found):,} codes")
        if found:
            rows = [(rank, one.distance, str(one.id), one.key) for rank, one in enumerate(found, start=1)]
            print_table(["rank", "distance", "id", "key"], rows)
    if page is not None:
        typer.echo(f"pictures: {page}")


def _check_question(
    queries: Path | None,
    *,
    image: list[Path] | None,
    model: Path | None,
    k: int | None,
    radius: int | None,
    html: Path | None,
    count: bool,
) -> None:
    if (queries is None) == (not image):
        raise ValueError("give either --queries Q.npy (packed codes) or --image FILE with --model MODEL")
    if image and model is None:
        raise ValueError("--image needs --model MODEL, the model that the index was encoded with")
    if count and (radius is None or k is not None or html is not None):
        raise ValueError("--count needs --radius R, and goes neither with --k nor with --html")


def _check_output(
    output: Path | None, *, queries: Path | None, html: Path | None, data: list[str] | None, workers: int
) -> None:
    if workers and output is None:
        raise ValueError("--workers needs --output HITS.parquet, the file that the workers' answers go to")
    if output is not None and (queries is None or html is not None or data):
        raise ValueError("--output is for --queries, and goes neither with --image nor with --html or --data")


def _print_counts(
    index: Path, counts: list[int], names: list[str] | None, *, radius: int, n_bits: int, json: bool
) -> None:
    from hashnet.cli.output import print_json

    if json:
        answers = [{"query": names[q] if names else q, "count": n} for q, n in enumerate(counts)]
        print_json({"index": index, "n_bits": n_bits, "k": None, "radius": radius, "answers": answers})
        return
    for q, n in enumerate(counts):
        typer.echo(f"query {names[q] if names else q}: {n:,} codes")
