"""``hashnet encode``: images to a code store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hashnet.cli.options import (
    DataOption,
    ImageRootOption,
    JsonOption,
    ModelOption,
    ProgressOption,
)


def encode(
    *,
    model: ModelOption,
    data: DataOption,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="CODES", help="Code store to write; a half done one is resumed."
        ),
    ],
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Ray workers; 0 encodes in this process, without Ray.")
    ] = 0,
    part: Annotated[
        Literal["all", "database", "query"],
        typer.Option("--part", help="Which images: all, or one side of the split that evaluate uses."),
    ] = "all",
    max_error_rate: Annotated[
        float,
        typer.Option(
            "--max-error-rate",
            min=0.0,
            max=1.0,
            help="Fail when more than this share of images is unreadable.",
        ),
    ] = 0.01,
    image_root: ImageRootOption = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed of the split; default: that of the model's training."),
    ] = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Encode images with a trained model; unreadable ones are skipped and listed in CODES/rejects.parquet."""
    from hashnet.cli.info import describe_store
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.datasets import open_images, split
    from hashnet.progress import make_progress

    images = open_images(data, image_root=image_root)
    indices = None
    if part != "all":
        if seed is None:
            from hashnet.models import load_model

            seed = load_model(model).seed
        indices = getattr(split(images, seed=seed), part)
    watched = make_progress(progress)
    if workers:
        from hashnet.distributed.authentication import demand_token

        demand_token()
        from hashnet.distributed import encode_with_ray

        encode_with_ray(
            model,
            data,
            output,
            indices=indices,
            image_root=image_root,
            workers=workers,
            max_error_rate=max_error_rate,
            progress=watched,
        )
    else:
        from hashnet.encoding import encode_to_store

        encode_to_store(model, images, indices, output, max_error_rate=max_error_rate, progress=watched)
    facts = describe_store(output)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"encoded into {output}")
