"""Results on stdout: aligned plain text for people, one JSON object for programs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer


def print_json(result: Mapping[str, Any]) -> None:
    """Print ``result`` as one JSON object on one line."""
    typer.echo(as_json(result))


def as_json(result: Mapping[str, Any]) -> str:
    """Return ``result`` as one JSON object; NaN, which JSON lacks, becomes null."""
    return json.dumps(plain(result), ensure_ascii=False, allow_nan=False)


def print_pairs(pairs: Mapping[str, Any], *, title: str = "") -> None:
    """Print names and values, one pair a line."""
    if title:
        typer.echo(title)
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        typer.echo(f"  {name:<{width}}  {as_text(value)}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their columns; numbers stand to the right, nothing is cut off."""
    text = [[as_text(value) for value in row] for row in rows]
    widths = [max(len(line[c]) for line in [list(columns), *text]) for c in range(len(columns))]
    right = [
        all(isinstance(row[c], int | float) or str(row[c]).isdigit() for row in rows)
        for c in range(len(columns))
    ]
    for line in [list(columns), *text]:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        typer.echo("  ".join(cells).rstrip())


def as_text(value: Any) -> str:
    """Return a value as people read it: thousands grouped, four significant decimals, - for nothing.

    Items of a list are parted by commas, those of a list within it joined by plus signs.
    """
    if value is None:
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.4g}" if abs(number) < 1e4 else f"{number:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(
            "+".join(map(as_text, one)) if isinstance(one, list) else as_text(one) for one in value
        )
    return str(value)


def plain(value: Any) -> Any:
    """Return ``value`` in the types of JSON: dataclasses, arrays, paths and NaN are translated."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
