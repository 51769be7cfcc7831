"""``hashnet train``: a model from labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hashnet.cli.options import ImageRootOption, JsonOption, ProgressOption, ProtocolOption, RayOption
from hashnet.cli.train_settings import N_BITS, SEED, gather_settings, print_settings

if TYPE_CHECKING:
    from hashnet.training import TrainResult

_SETTINGS = "Settings (over those of --config; defaults suit backbone and mode)"


def train(
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="digits (embedded), an image folder (a class per sub-folder), a .csv or .txt list of "
            "paths and labels, or an image pack .npz.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="MODEL", help="Model directory to write.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings as TOML; options given here override them."),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Print all settings as TOML, with --data as they are for these images, and end.",
        ),
    ] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any setting of --print-config, like --set ema=0.999."
        ),
    ] = None,
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
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            help="alexnet, vgg16, resnet18, resnet50, mobilenet_v2, squeezenet1_0, or small_cnn (8-64 px); "
            "default: small_cnn.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            "--bits",
            help=f"Length of a code: a multiple of 8 from 8 to 1024; default: {N_BITS}.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="What to train towards: hashnet (default), hashnet-w, dhn, ...; --print-config has all.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, help=f"Seed of everything random; default: {SEED}.", rich_help_panel=_SETTINGS
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="W",
            help="Weights of the backbone: torchvision (downloads its own), or a .safetensors or .pth file; "
            "default: a random start.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            metavar="MODEL",
            help="Begin at the weights of a trained model with the same backbone.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    freeze_backbone: Annotated[
        bool | None,
        typer.Option(
            "--freeze-backbone/--no-freeze-backbone",
            help="Train the head only, on features computed once.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    train_last_blocks: Annotated[
        int | None,
        typer.Option(
            "--train-last-blocks",
            help="Train the head and only so many of the last blocks of the backbone.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    same_padding: Annotated[
        bool | None,
        typer.Option(
            "--same-padding/--no-same-padding",
            help="For mobilenet_v2 weights that come from TensorFlow.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Side in pixels.", rich_help_panel=_SETTINGS)
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(
            "--hidden", help="Width of a layer before the hash layer; 0: none.", rich_help_panel=_SETTINGS
        ),
    ] = None,
    stages: Annotated[
        int | None,
        typer.Option("--stages", help="Stages of the continuation; default: 10.", rich_help_panel=_SETTINGS),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option("--iterations", help="Steps over all stages.", rich_help_panel=_SETTINGS),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Images a step.", rich_help_panel=_SETTINGS)
    ] = None,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            "--micro-batch",
            help="Images that the network sees at once, to save memory; the loss keeps all pairs of a batch.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate of the head.", rich_help_panel=_SETTINGS)
    ] = None,
    augment: Annotated[
        Literal["none", "shift", "flip"] | None,
        typer.Option("--augment", help="What training images undergo.", rich_help_panel=_SETTINGS),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            "--validation",
            help="Share of the images kept out of training; the stage with the best MAP on it is the model.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            help="End after so many stages without a better MAP on the validation images.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    max_error_rate: Annotated[
        float | None,
        typer.Option(
            "--max-error-rate",
            help="Fail when more than this share of images is unreadable; default: 0.05.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="auto, cpu or cuda; default: auto.", rich_help_panel=_SETTINGS),
    ] = None,
    data_workers: Annotated[
        int | None,
        typer.Option(
            "--data-workers",
            help="Threads that prepare batches ahead of the step; default: 2.",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    tensorboard: Annotated[
        str | None,
        typer.Option(
            "--tensorboard", metavar="DIR", help="Write events for TensorBoard.", rich_help_panel=_SETTINGS
        ),
    ] = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Train HashNet: labelled images to a network whose signs are binary codes.

    Where the data has no split of its own, one image of five is kept out of training, as query of
    hashnet evaluate. Checkpoints are written on the way. With --workers N the training is shared out on Ray:
    the loss follows the same curve, and --resume may change N. Settings come from the defaults, then from
    --config, then from --set, then from their own options.
    """
    given = {
        "backbone": backbone,
        "n_bits": bits,
        "method": method,
        "seed": seed,
        "weights": weights,
        "init_from": init_from,
        "freeze_backbone": freeze_backbone,
        "train_last_blocks": train_last_blocks,
        "same_padding": same_padding,
        "image_size": image_size,
        "hidden": hidden,
        "stages": stages,
        "iterations": iterations,
        "batch_size": batch_size,
        "micro_batch": micro_batch,
        "lr": lr,
        "augment": augment,
        "validation": validation,
        "patience": patience,
        "max_error_rate": max_error_rate,
        "device": device,
        "data_workers": data_workers,
        "tensorboard": tensorboard,
    }
    settings = gather_settings(config, assignments or [], given)
    if print_config:
        print_settings(settings, data, protocol=protocol, image_root=image_root)
        return
    if data is None or output is None:
        missing = " and ".join(
            name for name, value in (("--data", data), ("--output", output)) if value is None
        )
        raise ValueError(f"training needs {missing}; see hashnet train --help")
    if not workers and (ray is not None or min_workers is not None):
        raise ValueError("--ray and --min-workers need --workers N; leave them out to train in this process")
    from hashnet.cli.choosing import training_rows
    from hashnet.cli.info import describe_model
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.progress import make_progress

    images, database, recipe = training_rows(
        data, protocol=protocol, image_root=image_root, seed=settings.seed
    )
    watched = make_progress(progress)
    result: TrainResult
    if workers:
        from hashnet.distributed.authentication import demand_token

        demand_token(address=ray)
        from hashnet.distributed import train_with_ray

        result = train_with_ray(
            data,
            output,
            settings,
            indices=database,
            image_root=image_root,
            protocol=protocol,
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
            settings,
            output=output,
            resume=resume,
            overwrite=overwrite,
            progress=watched,
        )
    if recipe is not None:
        from hashnet.models import record_protocol

        record_protocol(output, recipe, n_rows=len(database))
    held_out = result.metrics.get("validation")
    # The figures begin with those before the first stage, which has number 0.
    last = result.metrics["stages"][-1 if held_out is None else held_out["stage"] + 1]
    facts = {
        **describe_model(output),
        "data": images.source,
        "images": len(database),
        "loss on relaxed codes": last["loss_relaxed"],
        "loss on sgn codes": last["loss_sgn"],
        "distinct codes": f"{last['distinct_codes']} of {last['sample']}",
    }
    if held_out is not None:
        facts |= {f"validation MAP@{held_out['at']}": held_out["map"], "kept stage": held_out["stage"]}
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"trained {output}")
