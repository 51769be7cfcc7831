"""A build whose parts are committed one by one, so that a rerun goes on where a crash ended it.

.photos.hnx.building/        beside the output, renamed to it at the end
  LOCK                       held by the process that assembles the index
  segments/                  the segments of finished parts
  .job/settings.json         what is built of what; a rerun with anything else starts anew
  .job/part-000003.json      the segments of a finished part; written when they are durable
  .job/attempt-<random>/     where a worker builds, so that two never write the same file
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hashnet.codes import Codes
from hashnet.encoding.build_parts import BuildPlan, build_part
from hashnet.encoding.building import check_absent, staging_of, whole_manifest
from hashnet.encoding.code_store import CodeStore
from hashnet.files import sync_directory, write_atomically
from hashnet.index.manifest import SegmentEntry, segment_from_json
from hashnet.index.store import Store
from hashnet.progress import NO_PROGRESS, Progress

_JOB = ".job"
_SETTINGS = "settings.json"


class BuildJob:
    """The bookkeeping of one build: which parts remain, and the last commit."""

    def __init__(self, output: Path, plan: BuildPlan, source: CodeStore | Codes) -> None:
        self.output = output
        self.staging = staging_of(output)
        self.plan = plan
        self._source = source
        self._store = Store(self.staging)

    @property
    def remaining(self) -> list[int]:
        """The parts that are not built yet."""
        return [part for part in range(self.plan.n_parts) if self._finished(part) is None]

    def finish(self) -> None:
        """Commit the index, once every part is built, and give it its name."""
        parts = [self._finished(part) for part in range(self.plan.n_parts)]
        missing = [part for part, entries in enumerate(parts) if entries is None]
        if missing:
            raise ValueError(f"parts {missing[:10]} are not built yet; build them before finish")
        entries = [entry for one in parts for entry in one or []]
        manifest = whole_manifest(self.plan, entries, self._source)
        self._store.remove_leftovers(manifest)
        self._store.commit(manifest)
        shutil.rmtree(self.staging / _JOB)
        self.staging.rename(self.output)
        sync_directory(self.output.absolute().parent)

    def take_over(self) -> None:
        """Become the one that builds here; raises LockedError where another process is it."""
        self.staging.mkdir(parents=True, exist_ok=True)
        self._store.lock()

    def resume(self, mark: str) -> None:
        """Keep what is finished in the staging folder, if it belongs to this build, else nothing."""
        settings = self.staging / _JOB / _SETTINGS
        wanted = {"plan": self.plan.to_json(), "source": mark}
        if _read_json(settings) != wanted:
            for entry in self.staging.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != "LOCK":
                    entry.unlink()
            settings.parent.mkdir()
            write_atomically(settings, json.dumps(wanted, indent=1).encode())
        for attempt in settings.parent.glob("attempt-*"):
            shutil.rmtree(attempt, ignore_errors=True)
        self._store.segments.mkdir(exist_ok=True)
        sync_directory(self.staging)

    def forget_if_empty(self) -> None:
        """Remove the staging folder if no part is built: then there is nothing to go on with."""
        if len(self.remaining) == self.plan.n_parts:
            shutil.rmtree(self.staging, ignore_errors=True)

    def release(self) -> None:
        """Let another process build here."""
        self._store.unlock()

    def _finished(self, part: int) -> list[SegmentEntry] | None:
        try:
            entries = [segment_from_json(one) for one in _read_json(_verdict(self.staging, part)) or []]
        except (ValueError, TypeError, KeyError):
            return None
        whole = sum(entry.n_rows for entry in entries) == self.plan.size(part)
        files = [entry.file for entry in entries] + [entry.keys for entry in entries if entry.keys]
        if not whole or any(_size(self._store.segments / file.name) != file.size for file in files):
            return None
        return entries


@contextmanager
def open_build(output: Path, plan: BuildPlan, source: CodeStore | Codes, *, mark: str) -> Iterator[BuildJob]:
    """Begin or continue to build the index ``output``; ``mark`` tells the source from another.

    What is finished stays if the block raises, for the next run with the same plan and source. Raises
    FileExistsError where something is at ``output``, and LockedError while another process builds it.
    """
    check_absent(output)
    job = BuildJob(output, plan, source)
    job.take_over()
    try:
        job.resume(mark)
        yield job
    except BaseException:
        job.forget_if_empty()
        raise
    finally:
        job.release()


def build_and_commit_part(
    source: CodeStore | Codes,
    plan: BuildPlan,
    part: int,
    staging: Path,
    *,
    threads: int,
    memory: int,
    progress: Progress = NO_PROGRESS,
) -> None:
    """Build one part in the staging folder of a job: its segments first, then the file that makes it count.

    Any process may do it, also two at once: what they write are the same bytes.
    """
    attempt = Store(staging / _JOB / f"attempt-{os.urandom(8).hex()}")
    # Not its parents: after the end of the job they are gone, and shall stay so.
    attempt.path.mkdir()
    try:
        attempt.segments.mkdir()
        entries = build_part(source, plan, part, attempt, threads=threads, memory=memory, progress=progress)
        segments = Store(staging).segments
        for entry in entries:
            for file in (entry.file, entry.keys):
                if file is not None:
                    (attempt.segments / file.name).replace(segments / file.name)
        sync_directory(segments)
        write_atomically(_verdict(staging, part), json.dumps([asdict(one) for one in entries]).encode())
    finally:
        shutil.rmtree(attempt.path, ignore_errors=True)


def _verdict(staging: Path, part: int) -> Path:
    return staging / _JOB / f"part-{part:06d}.json"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
