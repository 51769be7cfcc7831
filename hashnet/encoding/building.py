"""From a code store or a code file to an index on disk, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hashnet.codes import MIN_BITS, Codes, Ids, check_codes, check_n_bits
from hashnet.encoding.code_store import CodeStore
from hashnet.encoding.shards import CodeShard
from hashnet.errors import FingerprintError
from hashnet.files import sync_directory
from hashnet.index import Index, LayoutOptions, open_index
from hashnet.index.layout import DEFAULT_LAYOUT
from hashnet.progress import NO_PROGRESS, Progress

# The metadata entry that says where the images behind the ids are.
SOURCE = "source"


def build_index(
    source: CodeStore | Codes,
    output: Path,
    *,
    segments: int = 1,
    layout: LayoutOptions = DEFAULT_LAYOUT,
    threads: int | None = None,
    memory: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> None:
    """Create the index ``output`` with all codes of ``source``, in ``segments`` segments of equal size.

    ``source`` is a code store, whose codes, ids and keys are read into memory, or packed codes
    ``(n, n_bits / 8)``, which get row numbers as ids and stay where they are: mapped from a file by
    ``hashnet.index.open_codes`` they may be larger than memory. ``memory`` (bytes, beside codes and index),
    ``threads`` and ``layout`` as in ``Index.add`` and ``Index.create``.

    It is built beside ``output`` under another name and renamed at the end, so that a failed, killed or
    interrupted build leaves no index there. Raises FileExistsError, and ValueError for no codes, too many
    segments or an impossible layout.
    """
    if output.exists():
        raise FileExistsError(
            f"{output} exists already; add to it with `hashnet add`, or choose another --output"
        )
    codes: Codes
    ids: Ids | None = None
    keys: list[str] | None = None
    fingerprint, metadata = None, {}
    if isinstance(source, CodeStore):
        fingerprint, metadata = source.fingerprint, {SOURCE: absolute_source(source.source)}
        codes, ids, keys = read_store(source, progress=progress)
    else:
        # An array that is no matrix has no n_bits to tell; check_codes says what is wrong with it.
        codes = check_codes(source, source.shape[1] * 8 if np.ndim(source) == 2 else MIN_BITS)
    n, n_bits = len(codes), check_n_bits(codes.shape[1] * 8)
    if n == 0:
        raise ValueError("the source holds no codes; there is nothing to build an index of")
    if not 1 <= segments <= n:
        raise ValueError(
            f"shards must be at most the number of codes and at least 1, got {segments} shards for {n} codes"
        )
    bounds = [n * part // segments for part in range(segments + 1)]
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = output.with_name(f".{output.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        index = Index.create(
            staging, n_bits=n_bits, fingerprint=fingerprint, metadata=metadata, layout=layout
        )
        with index:
            for part in map(slice, bounds, bounds[1:]):
                index.add(
                    codes[part],
                    ids=None if ids is None else ids[part],
                    keys=None if keys is None else keys[part],
                    fingerprint=fingerprint,
                    threads=threads,
                    memory=memory,
                    progress=progress,
                )
        staging.rename(output)
        sync_directory(output.absolute().parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def add_to_index(
    source: CodeStore | Codes,
    path: Path,
    *,
    again: bool = False,
    threads: int | None = None,
    memory: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> int:
    """Add all codes of ``source`` to the index at ``path``; return how many.

    ``source``, ``threads`` and ``memory`` as in ``build_index``; packed codes get ids counted on from the
    largest. The ids of a store are the row numbers of its images, and those of a second store begin at 0
    again: where one is taken, all are moved behind the largest id of the index. Keys that are in the index
    already mean that the same images come twice, which is refused with ValueError unless ``again``. Codes of
    another model raise FingerprintError.
    """
    if not isinstance(source, CodeStore):
        with open_index(path, mode="w") as index:
            index.add(source, threads=threads, memory=memory, progress=progress)
        return len(source)
    codes, ids, keys = read_store(source, progress=progress)
    with open_index(path, mode="w") as index:
        # Before the keys: codes of another model could not be added under any ids.
        if source.fingerprint != index.fingerprint:
            raise FingerprintError(source.fingerprint, index.fingerprint or "none")
        taken = index.ids()
        if not again:
            check_new(keys, index.keys_of(taken), path)
        if len(codes):
            if np.isin(ids, taken).any():
                ids = ids + (int(taken.max()) + 1)
            index.add(
                codes,
                ids=ids,
                keys=keys,
                fingerprint=source.fingerprint,
                threads=threads,
                memory=memory,
                progress=progress,
            )
    return len(codes)


def read_store(store: CodeStore, *, progress: Progress = NO_PROGRESS) -> CodeShard:
    """Return all rows of a store; each shard is read and checked once, and copied to where it stays.

    Raises DamagedError for a shard that is not what was written.
    """
    codes = np.empty((store.n_codes, store.n_bits // 8), dtype=np.uint8)
    ids = np.empty(store.n_codes, dtype=np.int64)
    keys: list[str] = []
    progress.start("read codes", store.n_codes)
    try:
        for shard in store.iter_shards():
            rows = slice(len(keys), len(keys) + len(shard.ids))
            codes[rows], ids[rows] = shard.codes, shard.ids
            keys.extend(shard.keys)
            progress.advance(len(shard.ids))
    finally:
        progress.finish()
    return CodeShard(codes, ids, keys)


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
