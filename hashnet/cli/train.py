"""``hashnet train``: a model from labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hashnet.cli.options import (
    DataOption,
    ImageRootOption,
    JsonOption,
    ProgressOption,
    ProtocolOption,
    RayOption,
    SeedOption,
)

_DEFAULTS = "Settings (defaults suit backbone and mode)"


def train(
    *,
    data: DataOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL", help="Model directory to write.")
    ],
    backbone: Annotated[
        str,
        typer.Option(
            "--backbone",
            help="alexnet, vgg16, resnet18, resnet50, mobilenet_v2, squeezenet1_0, or small_cnn (8-64 px).",
        ),
    ] = "small_cnn",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="W",
            help="Weights of the backbone: torchvision (downloads its own), or a .safetensors or .pth file; "
            "default: a random start.",
        ),
    ] = None,
    freeze_backbone: Annotated[
        bool,
        typer.Option("--freeze-backbone", help="Train the head only, on features computed once."),
    ] = False,
    bits: Annotated[
        int, typer.Option("--bits", help="Length of a code: a multiple of 8 from 8 to 1024.")
    ] = 48,
    seed: SeedOption = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in MODEL, if there is one.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model or checkpoint that MODEL holds.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            help="Ray workers that share every batch; 0 trains in this process, without Ray.",
        ),
    ] = 0,
    min_workers: Annotated[
        int | None,
        typer.Option(
            "--min-workers",
            min=1,
            help="Begin, and go on after a failure, with as few as these while the cluster has no more.",
        ),
    ] = None,
    ray: RayOption = None,
    protocol: ProtocolOption = None,
    image_root: ImageRootOption = None,
    same_padding: Annotated[
        bool,
        typer.Option(
            "--same-padding",
            help="For mobilenet_v2 weights that come from TensorFlow.",
            rich_help_panel=_DEFAULTS,
        ),
    ] = False,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Side in pixels.", rich_help_panel=_DEFAULTS)
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(
            "--hidden", help="Width of a layer before the hash layer; 0: none.", rich_help_panel=_DEFAULTS
        ),
    ] = None,
    stages: Annotated[
        int, typer.Option("--stages", help="Stages of the continuation.", rich_help_panel=_DEFAULTS)
    ] = 10,
    iterations: Annotated[
        int | None,
        typer.Option("--iterations", help="Steps over all stages.", rich_help_panel=_DEFAULTS),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Images a step.", rich_help_panel=_DEFAULTS)
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate of the head.", rich_help_panel=_DEFAULTS)
    ] = None,
    augment: Annotated[
        Literal["none", "shift", "flip"] | None,
        typer.Option("--augment", help="What training images undergo.", rich_help_panel=_DEFAULTS),
    ] = None,
    max_error_rate: Annotated[
        float,
        typer.Option(
            "--max-error-rate",
            help="Fail when more than this share of images is unreadable.",
            rich_help_panel=_DEFAULTS,
        ),
    ] = 0.05,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu or cuda.", rich_help_panel=_DEFAULTS)
    ] = "auto",
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Train HashNet: labelled images to a network whose signs are binary codes.

    Where the data has no split of its own, one image of five is kept out of training, as query of
    hashnet evaluate. Checkpoints are written on the way. With --workers N the training is shared out on Ray:
    the loss follows the same curve, and --resume may change N.
    """
    from hashnet.cli.choosing import training_rows
    from hashnet.cli.info import describe_model
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.progress import make_progress
    from hashnet.training import TrainConfig

    config = TrainConfig(
        backbone=backbone,
        n_bits=bits,
        weights=weights,
        freeze_backbone=freeze_backbone,
        same_padding=same_padding,
        hidden=hidden,
        image_size=image_size,
        augment=augment,
        stages=stages,
        iterations=iterations,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        device=device,
        max_error_rate=max_error_rate,
    )
    if not workers and (ray is not None or min_workers is not None):
        raise ValueError("--ray and --min-workers need --workers N; leave them out to train in this process")
    images, database = training_rows(
        data, protocol=protocol, image_root=image_root, seed=seed, workers=workers
    )
    watched = make_progress(progress)
    if workers:
        from hashnet.distributed.authentication import demand_token

        demand_token(address=ray)
        from hashnet.distributed import train_with_ray

        result = train_with_ray(
            data,
            output,
            config,
            indices=database,
            image_root=image_root,
            workers=workers if min_workers is None else (min_workers, workers),
            resume=resume,
            overwrite=overwrite,
            address=ray,
            progress=watched,
        )
    else:
        from hashnet.allocator import keep_freed_memory
        from hashnet.training import train as train_model

        keep_freed_memory()
        result = train_model(
            images,
            database,
            config,
            output=output,
            resume=resume,
            overwrite=overwrite,
            progress=watched,
        )
    last = result.metrics["stages"][-1]
    facts = {
        **describe_model(output),
        "data": images.source,
        "images": len(database),
        "loss on relaxed codes": last["loss_relaxed"],
        "loss on sgn codes": last["loss_sgn"],
        "distinct codes": f"{last['distinct_codes']} of {last['sample']}",
    }
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"trained {output}")
