"""From a code store to an index on disk, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hashnet.encoding.code_store import CodeStore
from hashnet.errors import FingerprintError
from hashnet.files import sync_directory
from hashnet.index import Index, open_index
from hashnet.progress import NO_PROGRESS, Progress

# The metadata entry that says where the images behind the ids are.
SOURCE = "source"


def build_index(
    store: CodeStore, output: Path, *, segments: int = 1, progress: Progress = NO_PROGRESS
) -> None:
    """Create the index ``output`` with all codes of ``store``, in ``segments`` segments of equal size.

    It is built beside ``output`` under another name and renamed at the end, so that a failed or killed build
    leaves no index there. Raises FileExistsError, and ValueError for an empty store or too many segments.
    """
    if output.exists():
        raise FileExistsError(
            f"{output} exists already; add to it with `hashnet add`, or choose another --output"
        )
    codes, ids, keys = store.codes(), store.ids(), store.keys()
    if len(codes) == 0:
        raise ValueError(f"{store.path} holds no codes; there is nothing to build an index of")
    if not 1 <= segments <= len(codes):
        raise ValueError(
            f"shards must be at most the number of codes and at least 1, got {segments} shards for "
            f"{len(codes)} codes"
        )
    bounds = [len(codes) * part // segments for part in range(segments + 1)]
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = output.with_name(f".{output.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        progress.start("build", len(codes))
        index = Index.create(
            staging,
            n_bits=store.n_bits,
            fingerprint=store.fingerprint,
            metadata={SOURCE: absolute_source(store.source)},
        )
        with index:
            for part in map(slice, bounds, bounds[1:]):
                index.add(codes[part], ids=ids[part], keys=keys[part], fingerprint=store.fingerprint)
                progress.advance(part.stop - part.start)
        staging.rename(output)
        sync_directory(output.absolute().parent)
    finally:
        progress.finish()
        shutil.rmtree(staging, ignore_errors=True)


def add_to_index(
    store: CodeStore, path: Path, *, again: bool = False, progress: Progress = NO_PROGRESS
) -> int:
    """Add all codes of ``store`` to the index at ``path``; return how many.

    The ids of a store are the row numbers of its images, and those of a second store begin at 0 again: where
    one is taken, all are moved behind the largest id of the index. Keys that are in the index already mean
    that the same images come twice, which is refused with ValueError unless ``again``. Codes of another model
    raise FingerprintError.
    """
    codes, ids, keys = store.codes(), store.ids(), store.keys()
    progress.start("add", len(codes))
    try:
        with open_index(path, mode="w") as index:
            # Before the keys: codes of another model could not be added under any ids.
            if store.fingerprint != index.fingerprint:
                raise FingerprintError(store.fingerprint, index.fingerprint or "none")
            taken = index.ids()
            if not again:
                check_new(keys, index.keys_of(taken), path)
            if len(codes):
                if np.isin(ids, taken).any():
                    ids = ids + (int(taken.max()) + 1)
                index.add(codes, ids=ids, keys=keys, fingerprint=store.fingerprint)
            progress.advance(len(codes))
    finally:
        progress.finish()
    return len(codes)


def absolute_source(source: str) -> str:
    """Return a source that holds in every working folder: a path that exists becomes absolute."""
    return str(Path(source).absolute()) if source != "digits" and Path(source).exists() else source


def check_new(keys: Sequence[str], present: Iterable[str | None], path: Path) -> None:
    """Raise ValueError where one of ``keys`` is ``present`` in the index at ``path``."""
    repeated = set(keys).intersection(key for key in present if key is not None)
    if repeated:
        raise ValueError(
            f"{len(repeated)} of {len(keys)} images are in {path} already, {min(repeated)} for one; "
            "pass --again to add them once more under new ids"
        )
