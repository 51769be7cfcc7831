"""What an index tells about itself: its size and shape, and the plan of a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashnet import _core


@dataclass(frozen=True)
class IndexStats:
    """Counts and sizes of an index as opened.

    ``n_distinct`` counts distinct codes within each segment. ``segment_bytes`` is what the segments take,
    in memory or as a map, everything included; ``tables`` is the number of substrings of each segment.
    """

    n_bits: int
    n_codes: int
    n_distinct: int
    generation: int
    segment_sizes: tuple[int, ...]
    segment_bytes: int
    bytes_per_code: float
    tables: tuple[int, ...]
    fingerprint: str | None
    simd: str

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.segment_sizes)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {**asdict(self), "n_segments": self.n_segments}


@dataclass(frozen=True)
class SegmentPlan:
    """What a query does in one segment, as planned and as it happened.

    Either ``scan`` is true, after the probes that ``substring_radii`` tell (none where all are -1), or the
    probes alone answered. ``substring_radii[j]`` is the radius searched in substring j, -1 for none.
    Candidates are entries compared in buckets (all codes for a scan); ``verified`` ones passed that and had
    their full distance computed; ``matches`` are distinct codes in the answer before a cut to k. Times are
    microseconds; ``expected_probing_us`` and ``expected_scan_us`` come from the cost model of the planner.
    """

    segment: int
    n_codes: int
    scan: bool
    substring_bits: tuple[int, ...]
    substring_radii: tuple[int, ...]
    expected_probes: float
    expected_candidates: float
    expected_probing_us: float
    expected_scan_us: float
    probes: int
    candidates: int
    verified: int
    matches: int
    time_us: float


@dataclass(frozen=True)
class Plan:
    """The plan of one query over all segments; ``radius`` or ``k`` is what was asked."""

    n_bits: int
    radius: int | None
    k: int | None
    segments: tuple[SegmentPlan, ...]

    @property
    def time_us(self) -> float:
        """Microseconds inside the engine."""
        return sum(segment.time_us for segment in self.segments)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return {**asdict(self), "time_us": self.time_us}


def describe_segment_plan(
    number: int, n_codes: int, tables: Sequence[_core.TableDict], report: _core.ReportDict
) -> SegmentPlan:
    """Return what the engine reported of a query in segment ``number``."""
    return SegmentPlan(
        segment=number,
        n_codes=n_codes,
        scan=report["scan"],
        substring_bits=tuple(table["substring_bits"] for table in tables),
        substring_radii=tuple(report["radii"]),
        expected_probes=report["expected_probes"],
        expected_candidates=report["expected_candidates"],
        expected_probing_us=report["expected_probing_us"],
        expected_scan_us=report["expected_scan_us"],
        probes=report["probes"],
        candidates=report["candidates"],
        verified=report["verified"],
        matches=report["matches"],
        time_us=report["us"],
    )
