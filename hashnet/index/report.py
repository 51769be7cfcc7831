"""What an index tells about itself: its size and shape, and the plan of a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hashnet import _core
from hashnet.index.layout import LayoutOptions
from hashnet.index.manifest import Manifest


@dataclass(frozen=True)
class SegmentLayout:
    """How one segment lies in memory; the lists have an item for each table.

    In residue form an entry is the ``residue_bytes`` that its directory cell does not imply; otherwise these
    are a signature, and codes lie beside the tables as rows. ``bits_reordered`` tells that substrings are
    made of bits that were chosen from a sample, not of neighbouring ones.
    """

    residue_form: bool
    bits_reordered: bool
    substring_bits: tuple[int, ...]
    directory_bits: tuple[int, ...]
    residue_bytes: tuple[int, ...]


@dataclass(frozen=True)
class IndexStats:
    """Counts and sizes of an index as opened.

    ``n_distinct`` counts distinct codes within each segment. ``segment_bytes`` is what the segments take,
    in memory or as a map, everything included; ``tables`` is the number of substrings of each segment, and
    ``layouts`` tells more of each. ``options`` are what later segments will be built with.
    """

    n_bits: int
    n_codes: int
    n_distinct: int
    generation: int
    segment_sizes: tuple[int, ...]
    segment_bytes: int
    bytes_per_code: float
    tables: tuple[int, ...]
    layouts: tuple[SegmentLayout, ...]
    options: LayoutOptions
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


def describe_stats(manifest: Manifest, segments: Sequence[_core.Segment]) -> IndexStats:
    """Return the figures of ``segments``, all or some of those of ``manifest``."""
    n_codes = sum(segment.n_rows for segment in segments)
    size = sum(segment.size for segment in segments)
    return IndexStats(
        n_bits=manifest.n_bits,
        n_codes=n_codes,
        n_distinct=sum(segment.n_distinct for segment in segments),
        generation=manifest.generation,
        segment_sizes=tuple(segment.n_rows for segment in segments),
        segment_bytes=size,
        bytes_per_code=size / n_codes if n_codes else 0.0,
        tables=tuple(len(segment.tables) for segment in segments),
        layouts=tuple(_describe_layout(segment) for segment in segments),
        options=manifest.layout,
        fingerprint=manifest.fingerprint,
        simd=_core.simd(),
    )


def _describe_layout(segment: _core.Segment) -> SegmentLayout:
    tables, order = segment.tables, segment.bit_order
    return SegmentLayout(
        residue_form=segment.residue_form,
        bits_reordered=order is not None and not np.array_equal(order, np.arange(segment.n_bits)),
        substring_bits=tuple(table["substring_bits"] for table in tables),
        directory_bits=tuple(table["directory_bits"] for table in tables),
        residue_bytes=tuple(table["residue_bytes"] for table in tables),
    )


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
