"""From a code store or a code file to an index on disk, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hashnet.codes import Codes
from hashnet.encoding.build_parts import BuildPlan, build_part, read_rows
from hashnet.encoding.code_store import CodeStore
from hashnet.errors import DamagedError, FingerprintError
from hashnet.files import sync_directory
from hashnet.index import LayoutOptions, open_index
from hashnet.index.arguments import check_memory, check_threads
from hashnet.index.layout import DEFAULT_LAYOUT
from hashnet.index.manifest import Manifest, SegmentEntry
from hashnet.index.store import Store
from hashnet.progress import NO_PROGRESS, Progress


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

    ``source`` is a code store, whose codes, ids and keys are read into memory a segment at a time, or packed
    codes ``(n, n_bits / 8)``, which get row numbers as ids and stay where they are: mapped from a file by
    ``hashnet.index.open_codes`` they may be larger than memory. ``memory`` (bytes, beside codes and index),
    ``threads`` and ``layout`` as in ``Index.add`` and ``Index.create``.

    It is built beside ``output`` under another name and renamed at the end, so that a failed, killed or
    interrupted build leaves no index there. Raises FileExistsError, and ValueError for no codes, too many
    segments or an impossible layout.
    """
    check_absent(output)
    plan = BuildPlan.of(source, parts=segments, layout=layout)
    threads, memory = check_threads(threads), check_memory(memory)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = staging_of(output)
    shutil.rmtree(staging, ignore_errors=True)
    store = Store(staging)
    try:
        store.segments.mkdir(parents=True)
        store.lock()
        entries: list[SegmentEntry] = []
        for part in range(plan.n_parts):
            entries += build_part(
                source, plan, part, store, threads=threads, memory=memory, progress=progress
            )
        store.commit(whole_manifest(plan, entries, source))
        staging.rename(output)
        sync_directory(output.absolute().parent)
    finally:
        store.unlock()
        shutil.rmtree(staging, ignore_errors=True)


def check_absent(output: Path) -> None:
    """Raise FileExistsError where an index, or anything else, is at ``output`` already."""
    if output.exists():
        raise FileExistsError(
            f"{output} exists already; add to it with `hashnet add`, or choose another --output"
        )


def staging_of(output: Path) -> Path:
    """Return the folder beside ``output`` in which an index is built until it is whole."""
    return output.with_name(f".{output.name}.building")


def whole_manifest(plan: BuildPlan, entries: Iterable[SegmentEntry], source: CodeStore | Codes) -> Manifest:
    """Return the manifest of all parts; raise DamagedError where the source held an id twice."""
    try:
        return plan.manifest(entries)
    except ValueError as error:
        where = source.path if isinstance(source, CodeStore) else "the source"
        raise DamagedError(where, str(error)) from error


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
    codes, ids, keys = read_rows(source, slice(0, source.n_codes), progress=progress)
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


def check_new(keys: Sequence[str], present: Iterable[str | None], path: Path) -> None:
    """Raise ValueError where one of ``keys`` is ``present`` in the index at ``path``."""
    repeated = set(keys).intersection(key for key in present if key is not None)
    if repeated:
        raise ValueError(
            f"{len(repeated)} of {len(keys)} images are in {path} already, {min(repeated)} for one; "
            "pass --again to add them once more under new ids"
        )
