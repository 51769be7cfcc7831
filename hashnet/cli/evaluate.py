"""``hashnet evaluate``: retrieval figures of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashnet.cli.options import (
    DataOption,
    ImageRootOption,
    JsonOption,
    ModelOption,
    ProgressOption,
    ProtocolOption,
)


def evaluate(
    *,
    model: ModelOption,
    data: DataOption,
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
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE", help="Self-contained HTML page to write.")
    ] = None,
    card: Annotated[
        bool,
        typer.Option("--card", help="Keep the figures in the model's metrics.json and README.md as well."),
    ] = False,
    image_root: ImageRootOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="Seed of split and shuffle; default: the protocol's, else that of the model's training.",
        ),
    ] = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Measure retrieval: MAP (published, tie-aware, within a radius), precision, recall, with intervals."""
    from hashnet.cli.choosing import open_data
    from hashnet.cli.output import plain, print_json, print_pairs, print_table
    from hashnet.cli.protocol import evaluate_model, write_report
    from hashnet.datasets import open_images
    from hashnet.encoding import Encoder
    from hashnet.progress import make_progress

    opened = None if protocol is None else open_data(protocol, data, image_root=image_root)
    images = open_images(data, image_root=image_root) if opened is None else opened.images
    measured = evaluate_model(
        Encoder.load(model),
        images,
        protocol=opened,
        at=at,
        radius=radius,
        seed=seed,
        progress=make_progress(progress),
    )
    evaluation = measured.evaluation
    if report is not None:
        write_report(report, measured, images)
    if card:
        from hashnet.models import record_evaluation

        record_evaluation(model, plain(evaluation.to_json()))
    if json:
        print_json({**evaluation.to_json(), "report": report})
    else:
        print_pairs(dict(evaluation.protocol()), title="protocol")
        print_pairs(dict(evaluation.rows()), title="figures")
        print_table(("95 % interval", "mean", "low", "high"), evaluation.interval_rows())
        if report is not None:
            typer.echo(f"report: {report}")
