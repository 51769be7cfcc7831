"""``hashnet encode``: images to a code store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hashnet.cli.options import (
    ImageRootOption,
    JsonOption,
    ModelOption,
    ProgressOption,
    RayOption,
)

_CLUSTER = "Workers"
_STREAMS = "Streams"


def encode(
    *,
    model: ModelOption,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="DATA",
            help="digits (embedded), a .csv or .txt list, an image pack .npz; or a stream of any size, here "
            "or at s3:// or gs://: an image folder, Parquet with image bytes, tar shards, a folder of "
            "either, a text file of addresses.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="CODES", help="Code store to write; a half done one is resumed."
        ),
    ],
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
    unit_size: Annotated[
        int,
        typer.Option("--unit-size", min=1, help="Images of a work unit, which is committed as a whole."),
    ] = 1024,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="Threads that encode; default: all cores, and one in each worker."
        ),
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(
            "--image-column", help="Parquet column of image bytes; default: found.", rich_help_panel=_STREAMS
        ),
    ] = None,
    key_column: Annotated[
        str | None,
        typer.Option(
            "--key-column", help="Parquet column of keys; default: found.", rich_help_panel=_STREAMS
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            help="Ray workers, at best one for each GPU or core; 0 encodes in this process, without Ray.",
            rich_help_panel=_CLUSTER,
        ),
    ] = 0,
    decoders: Annotated[
        int | None,
        typer.Option(
            "--decoders",
            min=0,
            help="Tasks that decode for each worker; 0: its own threads do. Default: 0 on CPUs, the free "
            "cores on GPUs.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    ray: RayOption = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Encode images with a trained model; unreadable ones are skipped and listed in CODES/rejects.parquet."""
    from hashnet.cli.info import describe_store
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.datasets import ImageSet, open_source, split
    from hashnet.progress import make_progress

    if device.split(":", 1)[0] not in ("cpu", "cuda"):
        raise ValueError(f"--device must be cpu or cuda, got {device!r}")
    if (decoders is not None or ray is not None) and not workers:
        raise ValueError("--decoders and --ray are for workers; give --workers N as well")
    indices = None
    columns = {"image_column": image_column, "key_column": key_column}
    images = None
    if part != "all" or not workers:
        images = open_source(data, image_root=image_root, **columns, in_memory=part != "all")
    if part != "all":
        if not isinstance(images, ImageSet):
            raise ValueError(f"{data} is a stream and has no split; leave --part out")
        if seed is None:
            from hashnet.models import load_model

            seed = load_model(model).seed
        indices = getattr(split(images, seed=seed), part)
    watched = make_progress(progress)
    if images is not None and not workers:
        from hashnet.allocator import keep_freed_memory
        from hashnet.encoding import encode_to_store

        keep_freed_memory()
        encode_to_store(
            model,
            images,
            indices,
            output,
            max_error_rate=max_error_rate,
            unit_size=unit_size,
            threads=threads,
            device=device,
            progress=watched,
        )
    else:
        from hashnet.distributed.authentication import demand_token

        demand_token(address=ray)
        from hashnet.distributed import encode_with_ray

        encode_with_ray(
            model,
            data,
            output,
            indices=indices,
            image_root=image_root,
            **columns,
            workers=workers,
            threads=threads,
            decoders=decoders,
            max_error_rate=max_error_rate,
            unit_size=unit_size,
            device=device,
            address=ray,
            progress=watched,
        )
    facts = describe_store(output)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"encoded into {output}")
