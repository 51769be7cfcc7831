"""One worker of a bulk query: it maps the index and commits the units that it is given."""

from __future__ import annotations

from pathlib import Path

from hashnet.codes import Codes
from hashnet.errors import ResumeError
from hashnet.index import Index, open_codes

from .bulk import BulkSpec, open_snapshot
from .bulk_job import commit_unit
from .bulk_units import digest_of_queries


class UnitAnswerer:
    """An actor; it opens the index with its first unit, so that an error there is told like any other."""

    def __init__(self, spec: BulkSpec, *, threads: int) -> None:
        self._spec = spec
        self._threads = threads
        self._opened: tuple[Index, Codes] | None = None
        self._answered = 0

    def work(self, unit: int) -> None:
        """Answer and commit one unit."""
        if self._opened is None:
            self._opened = self._open()
        index, queries = self._opened
        output = Path(self._spec.output)
        self._answered = 0
        commit_unit(
            index,
            queries,
            self._spec.settings,
            unit,
            output,
            threads=self._threads,
            answered=self._note,
        )

    def status(self) -> int:
        """Return how many queries of the present unit are answered."""
        return self._answered

    def _note(self, answered: int) -> None:
        self._answered = answered

    def _open(self) -> tuple[Index, Codes]:
        settings = self._spec.settings
        index, _ = open_snapshot(self._spec.index, wanted=settings.index)
        queries = open_codes(self._spec.queries, n_bits=settings.n_bits)
        if digest_of_queries(queries) != settings.queries:
            raise ResumeError(
                f"a worker sees other queries in {self._spec.queries} than the driver; index, queries and "
                "output must lie on storage that all nodes share, and stay as they are until the job is done"
            )
        return index, queries
