"""Settings of a training as a TOML file: written with every default, read strictly."""

from __future__ import annotations

import difflib
import json
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hashnet.training.config import TrainConfig
from hashnet.training.descriptions import DESCRIPTIONS, SECTIONS

# TOML has no null. A setting that is completed before the training says "auto", one that is off "none".
_STAY_OPEN = frozenset(
    {"weights", "init_from", "tensorboard", "train_last_blocks", "micro_batch", "stage_lr_factors"}
)
_PATHS = frozenset({"weights", "init_from", "tensorboard"})


def read_config(path: Path | str, *, base: TrainConfig | None = None) -> TrainConfig:
    """Return the settings of a TOML file over those of ``base`` (default: ``TrainConfig()``).

    Raises what ``read_settings`` raises, and ValueError for a value outside its rule.
    """
    values = read_settings(path)
    try:
        return replace(base or TrainConfig(), **values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_settings(path: Path | str) -> dict[str, Any]:
    """Return what a TOML file sets, by name.

    Raises FileNotFoundError, and ValueError for what is no TOML, for an unknown setting, and for a value of
    the wrong type; each names the file, the setting, the value and what is wanted.
    """
    path = Path(path)
    try:
        return parse_settings(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"settings file {path} does not exist; write one with hashnet train --print-config > {path}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_settings(text: str) -> dict[str, Any]:
    """Return what TOML text sets, by name; ValueError as of ``read_settings``."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f'not TOML ({error}); a line is like  lr = 0.001  or  augment = "flip"') from None
    return checked(values)


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain ``values`` by name as ``TrainConfig`` takes them; ValueError for a wrong name or type."""
    return {name: _checked(name, value) for name, value in values.items()}


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return name and value of ``name=value``, the value in TOML or a bare word."""
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise ValueError(f"a setting must be NAME=VALUE, like lr=0.001, got {text!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return name, value
    return (name, parsed["value"]) if set(parsed) == {"value"} else (name, value)


def write_config(config: TrainConfig) -> str:
    """Return ``config`` as TOML with every setting and what it means; ``read_config`` gives it back."""
    lines: list[str] = []
    for title, names in SECTIONS.items():
        lines += [f"# {title}", ""]
        for name in names:
            lines += [f"# {part}" for part in DESCRIPTIONS[name].split("\n")]
            lines += [f"{name} = {_toml(name, getattr(config, name))}", ""]
    return "\n".join(lines)


def _checked(name: str, value: Any) -> Any:
    hints = _hints()
    if name not in hints:
        near = difflib.get_close_matches(name, hints, n=1)
        advice = f"did you mean {near[0]}?" if near else f"settings are {', '.join(hints)}"
        kind = "section" if isinstance(value, dict) else "setting"
        raise ValueError(f"unknown {kind} {name!r} (value {value!r}); {advice}")
    hint, may_be_open = _without_none(hints[name])
    if may_be_open and value == _word(name):
        return None
    fits, converted = _fit(value, hint)
    if not fits:
        also = f' or "{_word(name)}"' if may_be_open else ""
        raise ValueError(f"{name} must be {_wanted(hint)}{also}, got {value!r}")
    return converted


def _fit(value: Any, hint: Any) -> tuple[bool, Any]:
    """Return whether a TOML value is of the type, and the value as that type."""
    if get_origin(hint) is Literal:
        return value in get_args(hint), value
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            return False, None
        parts = [_fit(one, get_args(hint)[0]) for one in value]
        return all(fits for fits, _ in parts), tuple(part for _, part in parts)
    if hint is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number, float(value) if is_number else None
    return type(value) is hint, value


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each {_wanted(get_args(hint)[0])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[hint]


@cache
def _hints() -> dict[str, Any]:
    hints = get_type_hints(TrainConfig)
    return {field.name: hints[field.name] for field in fields(TrainConfig)}


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (types.UnionType, Union):
        return hint, False
    (kind,) = (part for part in get_args(hint) if part is not type(None))
    return kind, True


def _word(name: str) -> str:
    return "none" if name in _STAY_OPEN else "auto"


def _toml(name: str, value: Any) -> str:
    if value is None:
        return f'"{_word(name)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(name, one) for one in value) + "]"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    text = f"./{value}" if name in _PATHS and value == _word(name) else str(value)
    # JSON's escapes are among those of TOML, which wants DEL escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
