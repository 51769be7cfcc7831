"""Types of the native engine (csrc/bindings*.cpp). Arguments are checked by the callers in Python."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

MAX_SEGMENT_ROWS: int

Policy: TypeAlias = Literal["auto", "probe", "scan", "uniform"]

class DamagedSegmentError(RuntimeError): ...

class TableDict(TypedDict):
    start: int
    substring_bits: int
    directory_bits: int
    residue_bytes: int
    mean_bucket: list[float]

class ReportDict(TypedDict):
    scan: bool
    radii: list[int]
    expected_probes: float
    expected_candidates: float
    expected_probing_us: float
    expected_scan_us: float
    probes: int
    candidates: int
    verified: int
    matches: int
    us: float

class Segment:
    @staticmethod
    def build(
        codes: NDArray[np.uint8],
        ids: NDArray[np.int64] | None,
        first_id: int = 0,
        path: str = "",
        threads: int = 1,
        *,
        memory: int = 0,
        tables: int = 0,
        directory_bits: int = 0,
        select_bits: bool = True,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Segment: ...
    @staticmethod
    def open(path: str, copy: bool, verify: bool) -> Segment: ...
    @property
    def n_bits(self) -> int: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_distinct(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def checksum(self) -> int: ...
    @property
    def residue_form(self) -> bool: ...
    @property
    def tables(self) -> list[TableDict]: ...
    @property
    def bit_order(self) -> NDArray[np.uint16] | None: ...
    def verify(self) -> None: ...
    def export_rows(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...
    def row_ids(self) -> NDArray[np.int64]: ...

class Searcher:
    def __init__(self, segments: list[Segment]) -> None: ...
    @property
    def n_rows(self) -> int: ...
    def search(
        self,
        queries: NDArray[np.uint8],
        k: int,
        threads: int,
        within: NDArray[np.int32] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
    def search_radius(
        self, queries: NDArray[np.uint8], radius: int, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
    def search_if_plain(
        self, queries: object, k: object, threads: object
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None: ...
    def search_radius_if_plain(
        self, queries: object, radius: object, threads: object
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]] | None: ...
    def count_radius(self, queries: NDArray[np.uint8], radius: int, threads: int) -> NDArray[np.int64]: ...
    def explain(
        self, query: NDArray[np.uint8], k: int, radius: int, policy: Policy = "auto"
    ) -> list[ReportDict]: ...
    def time_queries(
        self, queries: NDArray[np.uint8], k: int, radius: int, policy: Policy = "auto"
    ) -> NDArray[np.float64]: ...

class FlatCodes:
    def __init__(self, codes: NDArray[np.uint8]) -> None: ...
    @property
    def n_bits(self) -> int: ...
    def search(
        self,
        queries: NDArray[np.uint8],
        k: int,
        threads: int,
        within: NDArray[np.int32] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
    def search_radius(
        self, queries: NDArray[np.uint8], radius: int, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...

def simd() -> str: ...
def available_simd() -> list[str]: ...
def scan_search(
    codes: NDArray[np.uint8], queries: NDArray[np.uint8], k: int, threads: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
def scan_radius(
    codes: NDArray[np.uint8], queries: NDArray[np.uint8], radius: int, threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def merge_neighbors(
    distances: Sequence[NDArray[np.int32]], ids: Sequence[NDArray[np.int64]], k: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
def merge_balls(
    offsets: Sequence[NDArray[np.int64]],
    distances: Sequence[NDArray[np.int32]],
    ids: Sequence[NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def crc32c(data: bytes | memoryview | NDArray[Any]) -> int: ...
def rank(
    queries: NDArray[np.uint8],
    query_labels: NDArray[np.uint64],
    codes: NDArray[np.uint8],
    labels: NDArray[np.uint64],
    at: int,
    threads: int,
) -> tuple[
    NDArray[np.uint32],
    NDArray[np.uint32],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.float64],
]: ...
