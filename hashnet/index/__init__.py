"""The index a user opens: create, open, add, search; the store on disk."""

from hashnet.index.index import Index, open_index

__all__ = ["Index", "open_index"]
