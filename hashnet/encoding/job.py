"""An encode job: work units committed one by one, so that a rerun continues where a crash ended it."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hashnet.datasets.entries import ImageSource, ListedStream
from hashnet.encoding.code_store import MANIFEST, REJECTS, CodeStore, StoreManifest, commit_manifest
from hashnet.encoding.durable import write_durably
from hashnet.encoding.settings import EncodeSettings
from hashnet.encoding.shards import CodeShard, RejectedRow, ShardEntry, rejects_bytes, write_shard
from hashnet.errors import DamagedError, ErrorRateError, LockedError, ResumeError
from hashnet.files import TEMPORARY_SUFFIX, replacing, sync_directory

if TYPE_CHECKING:
    from hashnet.encoding.encoder import EncodedRows

JOB_FOLDER = ".job"
_SETTINGS = "job.json"
_LISTING = "images.list"
_LOCK = "lock"
_SHOWN_REJECTS = 5


@dataclass(frozen=True)
class Verdict:
    """What became of a work unit: the shard it wrote and the images it had to skip."""

    shard: ShardEntry
    rejects: tuple[RejectedRow, ...]

    @property
    def unit(self) -> int:
        """The work unit; its shard has the same number."""
        return self.shard.number

    @property
    def n_images(self) -> int:
        """How many images the unit had."""
        return self.shard.n_codes + len(self.rejects)

    def to_json(self) -> str:
        """Return the verdict as a JSON text."""
        return json.dumps({"shard": self.shard.to_json(), "rejects": [list(row) for row in self.rejects]})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what ``to_json`` wrote; raise ValueError, TypeError or KeyError for anything else."""
        values = json.loads(text)
        rejects = tuple(
            RejectedRow(int(unit), int(row), str(key), str(reason))
            for unit, row, key, reason in values["rejects"]
        )
        return cls(ShardEntry.from_json(values["shard"]), rejects)


def commit_unit(output: Path, unit: int, rows: EncodedRows) -> Verdict:
    """Write one work unit durably: its shard first, then the verdict that makes it count."""
    entry = write_shard(output, unit, CodeShard(rows.codes, rows.ids, rows.keys))
    sync_directory(output)
    verdict = Verdict(entry, tuple(RejectedRow(unit, *reject) for reject in rows.rejects))
    job_folder = output / JOB_FOLDER
    write_durably(_verdict_path(job_folder, unit), verdict.to_json().encode())
    sync_directory(job_folder)
    return verdict


class EncodeJob:
    """The bookkeeping of one encode job: which units remain, when too much was rejected, the last commit."""

    def __init__(
        self,
        output: Path,
        settings: EncodeSettings,
        *,
        max_error_rate: float,
        source: ImageSource | None = None,
    ) -> None:
        self.output = output
        self.settings = settings
        self._source = source
        self._max_error_rate = max_error_rate
        self._verdicts: dict[int, Verdict] = {}
        self._rejects: list[RejectedRow] = []
        self._done = False

    @property
    def remaining(self) -> list[int]:
        """The work units that have no verdict yet."""
        if self._done:
            return []
        return [unit for unit in range(self.settings.n_units) if unit not in self._verdicts]

    @property
    def n_done(self) -> int:
        """How many images the accepted units had."""
        if self._done:
            return self.settings.n_images
        return sum(verdict.n_images for verdict in self._verdicts.values())

    @property
    def n_rejects(self) -> int:
        """How many images of the accepted units were unreadable."""
        return len(self._rejects)

    def accept(self, verdict: Verdict) -> None:
        """Take the verdict of a unit; raise ErrorRateError as soon as too many images are rejected."""
        wanted = self.settings.unit(verdict.unit)
        if verdict.unit >= self.settings.n_units or verdict.n_images != wanted.stop - wanted.start:
            raise ValueError(f"unit {verdict.unit} with {verdict.n_images} images is none of this job")
        if verdict.unit in self._verdicts:
            return
        self._verdicts[verdict.unit] = verdict
        self._rejects += verdict.rejects
        check_error_rate(self._rejects, self.settings.n_images, max_error_rate=self._max_error_rate)

    def finish(self) -> CodeStore:
        """Commit the store, once every unit has its verdict, and return it."""
        if self._done:
            return CodeStore.open(self.output)
        if self.remaining:
            raise ValueError(f"units {self.remaining[:10]} are not encoded yet; run them before finish")
        verdicts = [self._verdicts[unit] for unit in range(self.settings.n_units)]
        rejects = [row for verdict in verdicts for row in verdict.rejects]
        mark = write_durably(self.output / REJECTS, rejects_bytes(rejects))
        shards = tuple(verdict.shard for verdict in verdicts)
        # What a killed run left half written is no part of the store.
        for leftover in self.output.glob(f"*{TEMPORARY_SUFFIX}"):
            leftover.unlink(missing_ok=True)
        store = commit_manifest(self.output, StoreManifest(self.settings, shards, len(rejects), mark))
        self._done = True
        return store

    def resume(self) -> None:
        """Create or continue the job: take over what is committed and undamaged.

        Raises ResumeError if a job or a store with other settings is there.
        """
        if (self.output / MANIFEST).exists():
            store = CodeStore.open(self.output)
            self._check_settings(store.manifest.settings)
            self._rejects = store.rejects
            check_error_rate(self._rejects, self.settings.n_images, max_error_rate=self._max_error_rate)
            self._done = True
            return
        job_folder = self.output / JOB_FOLDER
        path = job_folder / _SETTINGS
        if path.exists():
            self._check_settings(_read_settings(path))
        else:
            if isinstance(self._source, ListedStream):
                with replacing(job_folder / _LISTING) as temporary:
                    self._source.save_listing(temporary)
            write_durably(path, (json.dumps(self.settings.to_json(), indent=1) + "\n").encode())
            sync_directory(job_folder)
            sync_directory(self.output)
        for unit in range(self.settings.n_units):
            verdict = _read_verdict(_verdict_path(job_folder, unit))
            # A unit whose files are gone or damaged is simply encoded again.
            if verdict is not None and verdict.unit == unit and verdict.shard.fits(self.output):
                self.accept(verdict)

    def clean(self) -> None:
        """Remove the bookkeeping of a job whose store is committed."""
        if self._done:
            shutil.rmtree(self.output / JOB_FOLDER, ignore_errors=True)

    def _check_settings(self, found: EncodeSettings) -> None:
        differences = found.differences(self.settings)
        if differences:
            changes = self._changes(found)
            raise ResumeError(
                f"{self.output} was begun with other settings ({'; '.join(differences)}){changes}; "
                "choose another output, or delete this one to start anew"
            )

    def _changes(self, found: EncodeSettings) -> str:
        """Return which images changed since the job began, where its listing tells."""
        if found.identity == self.settings.identity or not isinstance(self._source, ListedStream):
            return ""
        changes = self._source.changes_since(self.output / JOB_FOLDER / _LISTING, found.identity)
        return f"; of the images there are {changes}" if changes else ""


@contextmanager
def open_job(
    output: Path, settings: EncodeSettings, *, max_error_rate: float, source: ImageSource | None = None
) -> Iterator[EncodeJob]:
    """Create or continue the job in ``output``; ``source`` can tell what changed if it is not the same.

    Raises ResumeError if it was begun with other settings, FileExistsError if anything else is there, and
    LockedError if another process is at it; then nothing on disk has changed.
    """
    if not 0 <= max_error_rate <= 1:
        raise ValueError(f"max_error_rate must lie between 0 and 1, got {max_error_rate}")
    job = EncodeJob(output, settings, max_error_rate=max_error_rate, source=source)
    if (output / MANIFEST).exists():
        job.resume()
        yield job
        job.clean()
        return
    _check_usable(output)
    job_folder = output / JOB_FOLDER
    job_folder.mkdir(parents=True, exist_ok=True)
    sync_directory(output.resolve().parent)
    with (job_folder / _LOCK).open("wb") as lock:
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another process is encoding into {output}; wait for it, or choose another output"
            ) from None
        job.resume()
        yield job
        job.clean()


def check_error_rate(rejects: list[RejectedRow], n_images: int, *, max_error_rate: float) -> None:
    """Raise ErrorRateError if the rejects are more than ``max_error_rate`` of all images."""
    if not rejects or len(rejects) / n_images <= max_error_rate:
        return
    shown = "; ".join(f"{row.key}: {row.reason}" for row in rejects[:_SHOWN_REJECTS])
    raise ErrorRateError(
        f"{len(rejects)} of {n_images} images are unreadable, which is more than max_error_rate "
        f"{max_error_rate:g} ({shown}{'; ...' if len(rejects) > _SHOWN_REJECTS else ''}); no code store was "
        "committed: repair the images and choose a new output, or run again with a higher max_error_rate "
        "to continue"
    )


def _verdict_path(job_folder: Path, unit: int) -> Path:
    return job_folder / f"unit-{unit:06d}.json"


def _read_verdict(path: Path) -> Verdict | None:
    try:
        return Verdict.from_json(path.read_bytes())
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _read_settings(path: Path) -> EncodeSettings:
    try:
        values: Any = json.loads(path.read_bytes())
        return EncodeSettings.from_json(values)
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(
            path, f"not the settings of an encode job ({error}); delete this output"
        ) from error


def _check_usable(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise FileExistsError(f"{output} is a file; the output of an encode job is a directory")
    if output.is_dir() and not (output / JOB_FOLDER).is_dir():
        others = sorted(entry.name for entry in output.iterdir())
        if others:
            raise FileExistsError(
                f"{output} holds other files ({', '.join(others[:3])}) and no encode job; "
                "choose an empty or new output"
            )
