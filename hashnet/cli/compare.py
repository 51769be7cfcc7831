"""``hashnet compare``: how good hashing would be on one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashnet.cli.options import (
    DataOption,
    ImageRootOption,
    JsonOption,
    ProgressOption,
    ProtocolOption,
    SeedOption,
)

if TYPE_CHECKING:
    from hashnet.comparison import Comparison


def compare(
    *,
    data: DataOption,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="REPORT_DIR",
            help="Folder for the report; a half done one is gone on with.",
        ),
    ],
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods", help="Names by commas; default: lsh,itq,itq-cca,hashnet, without labels lsh,sh,itq."
        ),
    ] = None,
    bits: Annotated[str, typer.Option("--bits", help="Lengths of codes by commas.")] = "16,32,64",
    backbone: Annotated[
        str, typer.Option("--backbone", help="Frozen network that gives the features.")
    ] = "mobilenet_v2",
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="W",
            help="torchvision (downloads its own), a .safetensors or .pth file, or none: a random network.",
        ),
    ] = "torchvision",
    same_padding: Annotated[
        bool, typer.Option("--same-padding", help="For mobilenet_v2 weights that come from TensorFlow.")
    ] = False,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Side in pixels; default: by backbone and images.")
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="Runs of each method with different seeds, for intervals.")
    ] = 3,
    protocol: ProtocolOption = None,
    at: Annotated[
        int | None,
        typer.Option(
            "--at", min=1, help="R of MAP@R, cut to the database; default: the protocol's, else 1000."
        ),
    ] = None,
    radius: Annotated[
        int, typer.Option("--radius", min=0, help="Radius of precision within a Hamming ball.")
    ] = 2,
    max_error_rate: Annotated[
        float,
        typer.Option(
            "--max-error-rate",
            min=0.0,
            max=1.0,
            help="Fail when more than this share of images is unreadable.",
        ),
    ] = 0.05,
    device: Annotated[str, typer.Option("--device", help="Of the backbone: auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a comparison of other data or settings.")
    ] = False,
    image_root: ImageRootOption = None,
    seed: SeedOption = 1,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Compare methods of hashing on your images: features once, then every method at every length.

    Methods are trained on the database part and measured on the queries, by shared labels; without labels
    only unsupervised methods take part, measured by the neighbours in feature space. --protocol takes the
    three parts and R of a named protocol. Writes report.html, report.json, report.csv and figures/. What is
    done is kept: after a kill, or with more methods, lengths or runs, the same command goes on.
    """
    from hashnet.allocator import keep_freed_memory
    from hashnet.cli.choosing import open_data
    from hashnet.cli.output import print_json, print_table
    from hashnet.comparison import CompareSettings, compare_methods, own_sides, protocol_sides
    from hashnet.comparison.comparing import COLUMN_NAMES
    from hashnet.comparison.report import summary, to_json
    from hashnet.datasets import open_images
    from hashnet.progress import make_progress
    from hashnet.training import TrainConfig

    opened = None if protocol is None else open_data(protocol, data, image_root=image_root)
    images = open_images(data, image_root=image_root) if opened is None else opened.images
    default = "lsh,sh,itq" if images.labels is None else "lsh,itq,itq-cca,hashnet"
    settings = CompareSettings(
        methods=tuple(_listed(methods or default)),
        bits=tuple(_numbers(bits)),
        seeds=tuple(range(seed, seed + runs)),
        at=(1000 if opened is None else opened.at) if at is None else at,
        radius=radius,
    )
    config = TrainConfig(
        backbone=backbone,
        weights=None if weights == "none" else weights,
        freeze_backbone=True,
        same_padding=same_padding,
        image_size=image_size,
        device=device,
    )
    keep_freed_memory()
    watched = make_progress(progress)
    done = compare_methods(
        images,
        own_sides(images, seed=seed) if opened is None else protocol_sides(opened),
        config,
        settings,
        output,
        seed=seed,
        max_error_rate=max_error_rate,
        overwrite=overwrite,
        progress=watched,
    )
    watched.start("write report", None)
    paths = write_all(done, output)
    watched.finish()
    if json:
        print_json({**to_json(done), **paths})
        return
    found = summary(done)
    keys = [key for key in COLUMN_NAMES if key in found[0]]
    at = settings.at
    rows = [(row["method"], row["n_bits"], *(row[key][0] for key in keys)) for row in found]
    print_table(["method", "bits", *(COLUMN_NAMES[key].format(at=at, radius=radius) for key in keys)], rows)
    if done.cosine_map is not None:
        typer.echo(f"without hashing, by cosine: MAP@{at} {done.cosine_map:.4f}")
    for what, why in done.left_out:
        typer.echo(f"hashnet: left out {what}: {why}", err=True)
    typer.echo(f"report: {paths['report']}")


def write_all(done: Comparison, output: Path) -> dict[str, Path]:
    """Write report.html, report.json, report.csv and figures/ into ``output``; return their paths."""
    from hashnet.cli.output import as_json
    from hashnet.comparison.report import report, to_csv, to_json
    from hashnet.files import write_atomically

    page = report(done)
    write_atomically(output / "report.json", (as_json(to_json(done)) + "\n").encode())
    write_atomically(output / "report.csv", to_csv(done).encode())
    page.write_figures(output / "figures")
    page.write(output / "report.html")
    names = {"report": "report.html", "json": "report.json", "csv": "report.csv", "figures": "figures"}
    return {kind: output / name for kind, name in names.items()}


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(one) for one in _listed(text)))
    except ValueError:
        raise ValueError(f"--bits must be numbers separated by commas, got {text!r}") from None
