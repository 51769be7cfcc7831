"""Reading the JSON files of a model directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hashnet.errors import DamagedError


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; DamagedError for anything else."""
    try:
        values = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedError(path, f"not JSON ({error})") from error
    if not isinstance(values, dict):
        raise DamagedError(path, "not a JSON object")
    return values
