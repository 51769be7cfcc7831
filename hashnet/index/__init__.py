"""The index a user opens: create, open, add, search; the store on disk."""

from hashnet.index.code_files import open_codes
from hashnet.index.index import Index, open_index
from hashnet.index.layout import LayoutOptions
from hashnet.index.report import IndexStats, Plan, SegmentLayout, SegmentPlan

__all__ = [
    "Index",
    "IndexStats",
    "LayoutOptions",
    "Plan",
    "SegmentLayout",
    "SegmentPlan",
    "open_codes",
    "open_index",
]
