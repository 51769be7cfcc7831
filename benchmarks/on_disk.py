"""Indexes as large as memory: codes in a file, built from its map, opened mapped and preloaded.

Codes and index do not fit into memory together, so what the linear scan answers is taken first, from the
file of codes in parts, and its time last, when the index is closed. With ``keep`` the files stay, and a run
that was stopped goes on with those that are whole.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import hashnet
from benchmarks.asking import DRAWN, SCANS, ask_index, show
from benchmarks.measuring import (
    Fresh,
    MemoryWatch,
    engine_ns,
    median_ms,
    memory_bytes,
    python_ns,
    read_bandwidth,
)
from benchmarks.questions import Question, different, questions, scan_in_parts
from benchmarks.workloads import SOURCES, Source
from hashnet import _core

# Codes of the file that are scanned at once.
PART_ROWS = 1 << 24
COLD_QUERIES = 50
WARMING = 5000
COLD = (Question("radius", 4), Question("radius", 8), Question("k", 10), Question("k", 100))


@dataclass(frozen=True)
class Files:
    """Where the files of one workload lie in the working folder."""

    folder: Path
    workload: str
    n: int
    n_bits: int
    seed: int
    keep: bool

    @property
    def stem(self) -> str:
        """What the names of all files begin with."""
        return f"{self.workload}_{self.n}_{self.n_bits}_{self.seed}"

    @property
    def codes(self) -> Path:
        """The codes, .npy."""
        return self.folder / f"{self.stem}.npy"

    @property
    def index(self) -> Path:
        """The index directory."""
        return self.folder / f"{self.stem}.hnx"

    @property
    def built(self) -> Path:
        """What building the index took, as JSON; written when it is whole."""
        return self.folder / f"{self.stem}.json"

    def source(self) -> Source:
        """Return where the codes come from."""
        return SOURCES[self.workload](self.n, self.n_bits, seed=self.seed)

    def remove(self) -> None:
        """Remove all files of this workload."""
        self.codes.unlink(missing_ok=True)
        self.built.unlink(missing_ok=True)
        shutil.rmtree(self.index, ignore_errors=True)


def measure(files: Files, n_queries: int, n_verify: int, *, memory: int, rounds: int) -> dict[str, Any]:
    """Return the figures of one workload, by question and measure."""
    files.folder.mkdir(parents=True, exist_ok=True)
    if not files.keep:
        files.remove()
    source = files.source()
    if not files.codes.exists():
        begin = time.perf_counter()
        source.write(files.codes, files.n)
        print(f"  codes written in {time.perf_counter() - begin:.1f} s", flush=True)
    fresh = Fresh(source.queries(DRAWN))
    asked = questions(files.n, files.n_bits)
    verifying = fresh.take(n_verify)
    begin = time.perf_counter()
    codes = np.load(files.codes, mmap_mode="r")
    scanned = scan_in_parts(asked, codes, verifying, rows=PART_ROWS)
    print(f"  answers of the linear scan taken in {time.perf_counter() - begin:.1f} s", flush=True)
    del codes
    figures: dict[str, Any] = {"index": _build(files, memory)}
    show("index", figures["index"])
    figures["index"] |= _open_mapped(files, fresh)
    show("index", figures["index"])
    index, row = _open_preloaded(files)
    row["warming up s"] = _warm_up(index, source)
    figures["index"] |= row
    show("index", row)
    mismatches = [
        different(question.ask(index, verifying, 2), expected)
        for question, expected in zip(asked, scanned, strict=True)
    ]
    for question, count, row in zip(
        asked, mismatches, ask_index(index, asked, fresh, n_queries, rounds=rounds), strict=True
    ):
        row["mismatches"] = count
        row["over scan of the index"] = round(row["scan of the index ms"] / row["engine ms"], 1)
        figures[question.name] = row
        show(question.name, row)
    index.close()
    del index
    gc.collect()
    _scan_codes(files, figures, fresh)
    if not files.keep:
        files.remove()
    return figures


def _build(files: Files, memory: int) -> dict[str, Any]:
    """Build the index from the map of the codes, unless a whole one is there."""
    if files.built.exists():
        built: dict[str, Any] = json.loads(files.built.read_text(encoding="utf-8"))
        return built
    shutil.rmtree(files.index, ignore_errors=True)
    drop_caches(files.codes)
    before = memory_bytes()["anonymous"]
    with MemoryWatch() as watch:
        begin = time.perf_counter()
        with hashnet.Index.create(files.index, n_bits=files.n_bits) as index:
            index.add(np.load(files.codes, mmap_mode="r"), memory=memory)
        build_s = time.perf_counter() - begin
    with hashnet.open_index(files.index, verify=False) as index:
        stats = index.stats()
    row = {
        "build s": round(build_s, 1),
        "codes/s built": round(files.n / build_s),
        "memory allowed GiB": round(memory / 2**30, 2),
        "peak GiB of its own while building": round((watch.peak_anonymous - before) / 2**30, 2),
        "peak GiB with mapped files": round(watch.peak / 2**30, 2),
        "bytes a code": round(stats.bytes_per_code, 2),
        "distinct": stats.n_distinct,
        "tables": list(stats.tables),
    }
    files.built.write_text(json.dumps(row), encoding="utf-8")
    return row


def _open_mapped(files: Files, fresh: Fresh) -> dict[str, Any]:
    """Open by map with nothing cached; ask the first queries; then with the whole file cached."""
    row: dict[str, Any] = {"caches": drop_caches(*segment_files(files))}
    begin = time.perf_counter()
    index = hashnet.open_index(files.index)
    row["open s"] = round(time.perf_counter() - begin, 4)
    for question in COLD:
        ns = engine_ns(index._searcher, question, fresh.take(COLD_QUERIES))
        row[f"cold {question.name} first ms"] = round(ns[0] / 1e6, 3)
        row[f"cold {question.name} ms"] = median_ms(ns)
    begin = time.perf_counter()
    for path in segment_files(files):
        _read_through(path)
    row["reading the file s"] = round(time.perf_counter() - begin, 1)
    for question in COLD:
        ns = engine_ns(index._searcher, question, fresh.take(1000))
        row[f"mapped, warm {question.name} ms"] = median_ms(ns)
    index.close()
    return row


def _open_preloaded(files: Files) -> tuple[hashnet.Index, dict[str, Any]]:
    drop_caches(*segment_files(files))
    before = memory_bytes()["anonymous"]
    begin = time.perf_counter()
    index = hashnet.open_index(files.index, preload=True)
    seconds = time.perf_counter() - begin
    resident = memory_bytes()["anonymous"] - before
    return index, {
        "preload s": round(seconds, 1),
        "resident bytes a code": round(resident / files.n, 2),
    }


def _warm_up(index: hashnet.Index, source: Source) -> float:
    """Ask until memory has settled: the first seconds after 20 GB were read are several times slower."""
    queries = source.queries(WARMING)
    begin = time.perf_counter()
    for question in COLD:
        engine_ns(index._searcher, question, queries)
    return round(time.perf_counter() - begin, 1)


def _scan_codes(files: Files, figures: dict[str, Any], fresh: Fresh) -> None:
    """Add the time of a linear scan of all codes, alone in memory, to every question."""
    codes = _core.FlatCodes(np.load(files.codes, mmap_mode="r"))
    bandwidth = read_bandwidth(1 << 30)
    size = files.n * files.n_bits / 8
    for question in questions(files.n, files.n_bits):
        row = figures[question.name]
        ns = python_ns(partial(question.scan, codes), fresh.take(SCANS))
        row["linear scan ms"] = median_ms(ns)
        row["over linear scan"] = round(row["linear scan ms"] / row["engine ms"], 1)
        row["linear scan of memory bandwidth"] = round(size / ns.min() * 1e9 / bandwidth, 3)
        print(f"  {question.name:>14}  linear scan ms {row['linear scan ms']}, {row['over linear scan']}x")


def segment_files(files: Files) -> list[Path]:
    """Return the segment files of the index."""
    return sorted((files.index / "segments").iterdir())


def drop_caches(*paths: Path) -> str:
    """Let the system forget what it has cached of these files, or of all; returns how."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except OSError:
        return "posix_fadvise(DONTNEED) on the files"
    return "posix_fadvise(DONTNEED) on the files, then drop_caches"


def _read_through(path: Path) -> None:
    buffer = bytearray(1 << 23)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
