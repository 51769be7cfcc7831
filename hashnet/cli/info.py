"""``hashnet info``: what an index, a code store or a model is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashnet.cli.options import JsonOption

if TYPE_CHECKING:
    from hashnet.index import IndexStats


def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Index, code store or model directory.")],
    *,
    json: JsonOption = False,
) -> None:
    """Describe an index, a code store or a model directory."""
    from hashnet.cli.output import print_json, print_pairs

    facts = describe(path)
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=str(path))


def describe(path: Path) -> dict[str, Any]:
    """Return the facts about whatever lies at ``path``, told apart by its file names."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give an index, a code store or a model directory")
    if (path / "CURRENT").exists():
        return describe_index(path)
    if (path / "model.safetensors").exists() or (path / "config.json").exists():
        return describe_model(path)
    if (path / "manifest.json").exists():
        return describe_store(path)
    raise ValueError(
        f"{path} is neither an index (CURRENT), nor a code store (manifest.json), nor a model (config.json); "
        "give the directory that hashnet build, encode or train wrote"
    )


def describe_index(path: Path) -> dict[str, Any]:
    """Return the facts about an index directory."""
    from hashnet.index import open_index

    with open_index(path) as index:
        stats = index.stats()
        return {
            "kind": "index",
            "codes": stats.n_codes,
            "distinct": stats.n_distinct,
            "n_bits": stats.n_bits,
            "segments": stats.n_segments,
            "bytes": directory_bytes(path),
            "bytes a code": stats.bytes_per_code,
            **_layout_facts(stats),
            "kernels": stats.simd,
            "fingerprint": stats.fingerprint,
            **index.metadata,
        }


def _layout_facts(stats: IndexStats) -> dict[str, Any]:
    """Return how segments are laid out; those that are laid out alike count once."""
    layouts = list(dict.fromkeys((one.bits_reordered, one.substring_bits) for one in stats.layouts))
    return {
        "tables": [len(substrings) for _, substrings in layouts],
        "substring bits": [list(substrings) for _, substrings in layouts],
        "bit order": ["selected" if reordered else "as given" for reordered, _ in layouts],
    }


def describe_store(path: Path) -> dict[str, Any]:
    """Return the facts about a code store."""
    from hashnet.encoding import CodeStore

    store = CodeStore.open(path)
    return {
        "kind": "code store",
        "codes": store.n_codes,
        "n_bits": store.n_bits,
        "unreadable": store.n_rejects,
        "bytes": directory_bytes(path),
        "fingerprint": store.fingerprint,
        "source": store.source,
    }


def describe_model(path: Path) -> dict[str, Any]:
    """Return the facts about a model directory."""
    from hashnet.models import load_model, training_protocol

    model = load_model(path)
    by = training_protocol(model.metrics)
    return {
        "kind": "model",
        "backbone": model.config.backbone,
        "n_bits": model.n_bits,
        "classes": len(model.classes),
        "seed": model.seed,
        "bytes": directory_bytes(path),
        "fingerprint": model.fingerprint,
        **({} if by is None else {"trained by": by}),
    }


def directory_bytes(path: Path) -> int:
    """Return the size of all files below ``path``."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
