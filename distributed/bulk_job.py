"""A bulk query whose units are committed one by one, and the file that they become: no Ray.

hits.parquet                  appears whole, at the end
.hits.parquet.job/            until then: settings.json, and for each finished unit
    unit-000003.parquet       its rows
    unit-000003.json          size and checksum of that file; written when it is durable
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashnet.codes import Codes
from hashnet.encoding.durable import FileMark, write_durably
from hashnet.errors import DamagedError, LockedError, ResumeError
from hashnet.files import replacing, sync_directory

from .bulk_units import SETTINGS_KEY, BulkSettings, Searchable, answer_unit, regrouped

_SETTINGS = "settings.json"
_LOCK = "lock"


class BulkJob:
    """The bookkeeping of one bulk query: which units remain, and the assembly of the output."""

    def __init__(self, output: Path, settings: BulkSettings, *, done: bool) -> None:
        self.output = output
        self.folder = job_folder(output)
        self.settings = settings
        self._done = done

    @property
    def remaining(self) -> list[int]:
        """The units that are not answered yet, or whose files are not what was written."""
        if self._done:
            return []
        return [unit for unit in range(self.settings.n_units) if self._verdict(unit) is None]

    def finish(self) -> int:
        """Assemble the output, once every unit is answered; return its number of rows.

        Row groups are streamed, so memory stays bounded; the output has the same bytes however its rows came
        to be. Raises DamagedError for a unit that is no longer what was written; a rerun answers it again.
        """
        if not self._done:
            # Beside the units, so that what a killed run leaves is found and removed.
            whole = self.folder / "whole.parquet"
            _write_table_file(whole, self.settings.schema, self._tables())
            whole.replace(self.output)
            sync_directory(self.output.absolute().parent)
            self._done = True
        shutil.rmtree(self.folder, ignore_errors=True)
        return int(pq.read_metadata(self.output).num_rows)

    def resume(self) -> None:
        """Create or continue the job; raise ResumeError where another question was begun."""
        settings = self.folder / _SETTINGS
        try:
            found = json.loads(settings.read_bytes())
        except (FileNotFoundError, ValueError):
            found = None
        wanted = self.settings.to_json()
        if found is None:
            write_durably(settings, json.dumps(wanted, indent=1).encode())
        elif found != wanted:
            differences = [
                f"{name}: {found.get(name)} -> {value}"
                for name, value in wanted.items()
                if found.get(name) != value
            ]
            raise ResumeError(
                f"{self.output} was begun with another question or index ({'; '.join(differences)}); choose "
                f"another output, or delete {self.folder} to start anew"
            )
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        sync_directory(self.folder)
        sync_directory(self.output.absolute().parent)

    def _tables(self) -> Iterator[Any]:
        for unit in range(self.settings.n_units):
            path = _unit_path(self.folder, unit)
            if self._verdict(unit) is None:
                raise DamagedError(path, "it is not what was written; run again to answer its queries again")
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def _verdict(self, unit: int) -> FileMark | None:
        path = _unit_path(self.folder, unit)
        try:
            mark = FileMark.from_json(json.loads(path.with_suffix(".json").read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return mark if mark.fits(path) else None


@contextmanager
def open_bulk_job(output: Path, settings: BulkSettings) -> Iterator[BulkJob]:
    """Begin or continue the job whose output is the file ``output``; where that is there, the job is done.

    Raises FileExistsError where something else is there, ResumeError where it was begun with another
    question, and LockedError while another process is at it.
    """
    if output.exists():
        if not _is_answer(output, settings):
            raise FileExistsError(
                f"{output} exists already and is not the answer to this question; choose another --output, "
                "or delete it"
            )
        yield BulkJob(output, settings, done=True)
        return
    job = BulkJob(output, settings, done=False)
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / _LOCK).open("wb") as lock:
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another process is answering into {output}; wait for it, or choose another --output"
            ) from None
        job.resume()
        try:
            yield job
        except BaseException:
            if len(job.remaining) == settings.n_units:
                shutil.rmtree(job.folder, ignore_errors=True)
            raise


def commit_unit(
    index: Searchable,
    queries: Codes,
    settings: BulkSettings,
    unit: int,
    output: Path,
    *,
    threads: int,
    answered: Callable[[int], None] = lambda n: None,
) -> None:
    """Answer a unit and write it durably: its rows first, then the verdict that makes it count."""
    folder = job_folder(output)
    path = _unit_path(folder, unit)
    tables = answer_unit(index, queries, settings, unit, threads=threads, answered=answered)
    _write_table_file(path, settings.schema, tables)
    sync_directory(folder)
    write_durably(path.with_suffix(".json"), json.dumps(_mark_of(path).to_json()).encode())
    sync_directory(folder)


def job_folder(output: Path) -> Path:
    """Return the folder beside ``output`` that holds its finished units."""
    return output.with_name(f".{output.name}.job")


def _write_table_file(path: Path, schema: Any, tables: Iterator[Any]) -> None:
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for table in regrouped(tables, schema):
            writer.write_table(table, row_group_size=len(table))


def _mark_of(path: Path) -> FileMark:
    import hashlib

    with path.open("rb") as file:
        return FileMark(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _is_answer(output: Path, settings: BulkSettings) -> bool:
    try:
        found = pq.read_schema(output).metadata or {}
    except (pa.ArrowException, OSError):
        return False
    return bool(found.get(SETTINGS_KEY) == settings.schema.metadata[SETTINGS_KEY])


def _unit_path(folder: Path, unit: int) -> Path:
    return folder / f"unit-{unit:06d}.parquet"
