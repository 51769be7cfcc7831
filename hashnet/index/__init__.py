"""The index a user opens: create, open, add, search; the store on disk."""

from hashnet.index.index import Index, open_index
from hashnet.index.report import IndexStats, Plan, SegmentPlan

__all__ = ["Index", "IndexStats", "Plan", "SegmentPlan", "open_index"]
