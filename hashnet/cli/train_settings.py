"""Where the settings of ``hashnet train`` come from, and how they are printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from hashnet.training import TrainConfig

N_BITS, SEED = 48, 1
"""What the command takes where nothing is said; the library has defaults of its own."""


def gather_settings(file: Path | None, assignments: list[str], given: dict[str, Any]) -> TrainConfig:
    """Return the settings of the defaults, the file, the assignments, and the options, in this order."""
    from hashnet.training import TrainConfig
    from hashnet.training.config_file import checked, parse_assignment, read_settings

    values: dict[str, Any] = {"n_bits": N_BITS, "seed": SEED}
    if file is not None:
        values |= read_settings(file)
    values |= checked(dict(parse_assignment(text) for text in assignments))
    values |= {name: value for name, value in given.items() if value is not None}
    # Made once, since rules may tie a setting of the file to an option.
    return TrainConfig(**values)


def print_settings(
    settings: TrainConfig, data: str | None, *, protocol: str | None, image_root: Path | None
) -> None:
    """Print the settings as TOML; with data, as they would be for a training on it."""
    from hashnet.training.config_file import write_config

    if data is not None:
        from hashnet.cli.choosing import training_rows
        from hashnet.training.task import completed

        images, rows, _ = training_rows(data, protocol=protocol, image_root=image_root, seed=settings.seed)
        settings = completed(images, rows, settings)
    typer.echo(write_config(settings), nl=False)
