"""The directory of an index: one writer, snapshots for readers, commits by rename.

    photos.hnx/
      CURRENT                 name of the committed manifest; replaced last, by rename
      manifest-000012.json    n_bits, fingerprint, segments with their checksums
      segments/000007.seg     immutable segment; 000007.keys.parquet beside it where rows have keys
      LOCK                    held by the one writer

What CURRENT names is complete and durable. Everything else that may lie there is left over from a process
that died, and is removed by the next writer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from hashnet.errors import DamagedError, LockedError
from hashnet.files import TEMPORARY_SUFFIX, sync_directory, write_atomically
from hashnet.index.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest

_MANIFEST = re.compile(r"manifest-([0-9]{6,})\.json")
# A reader may find the manifest that CURRENT named gone, if two commits happened in between.
_READ_TRIES = 10


class Store:
    """Paths, lock and commits of one index directory; knows nothing of codes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def segments(self) -> Path:
        """The folder of the segment files."""
        return self.path / "segments"

    def create(self, manifest: Manifest) -> Manifest:
        """Make the directory and commit an empty index; raises FileExistsError unless it is new or empty."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock()
        try:
            if (self.path / "CURRENT").exists():
                raise FileExistsError(f"{self.path} is an index already; open it with mode='w' to add to it")
            # A creation that died before its first commit leaves only these.
            foreign = {entry.name for entry in self.path.iterdir()} - {"LOCK", "segments"}
            foreign = {name for name in foreign if not _is_leftover(name)}
            if foreign:
                raise FileExistsError(
                    f"{self.path} is not empty ({', '.join(sorted(foreign)[:3])}); choose a new directory"
                )
            self.segments.mkdir(exist_ok=True)
            sync_directory(self.path.absolute().parent)
            return self.commit(manifest)
        except BaseException:
            self.unlock()
            raise

    def lock(self) -> None:
        """Become the one writer; raises LockedError where another process is it."""
        handle = os.open(self.path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise LockedError(
                f"{self.path} is being written by another process or another open Index; close that one "
                "first, or open this one with mode='r'"
            ) from error
        self._lock = handle

    def unlock(self) -> None:
        """Stop being the writer. The lock also ends with the process, however that ends."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_locked(self) -> bool:
        """True while this object is the writer."""
        return self._lock is not None

    def read(self) -> Manifest:
        """Return the committed manifest; raises FileNotFoundError or DamagedError."""
        current = self.path / "CURRENT"
        for _ in range(_READ_TRIES):
            try:
                name = current.read_bytes()[:256].decode(errors="replace").strip()
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(
                    f"{self.path} is not a hashnet index (it has no CURRENT); create one with "
                    "Index.create or `hashnet build`"
                ) from None
            if not _MANIFEST.fullmatch(name):
                raise DamagedError(current, f"it names {name!r}, which is not a manifest")
            path = self.path / name
            try:
                with path.open("rb") as file:
                    data = file.read(MAX_MANIFEST_BYTES + 1)
            except FileNotFoundError:
                continue
            if len(data) > MAX_MANIFEST_BYTES:
                raise DamagedError(path, f"larger than {MAX_MANIFEST_BYTES} bytes")
            return parse_manifest(data, path)
        raise DamagedError(current, "the manifest that it names does not exist")

    def commit(self, manifest: Manifest) -> Manifest:
        """Make ``manifest``, whose files must be durable already, the state of the index; return it."""
        sync_directory(self.segments)
        name = f"manifest-{manifest.generation:06d}.json"
        write_atomically(self.path / name, manifest.to_bytes())
        write_atomically(self.path / "CURRENT", f"{name}\n".encode())
        # The one before is kept for readers that are just opening it.
        for entry in self.path.iterdir():
            match = _MANIFEST.fullmatch(entry.name)
            if match and int(match[1]) < manifest.generation - 1:
                entry.unlink(missing_ok=True)
        return manifest

    def remove_leftovers(self, manifest: Manifest) -> None:
        """Remove what a writer that died left behind; only for the writer."""
        wanted = {entry.file.name for entry in manifest.segments}
        wanted |= {entry.keys.name for entry in manifest.segments if entry.keys is not None}
        for entry in self.segments.iterdir():
            if entry.name not in wanted and entry.is_file():
                entry.unlink()
        for entry in self.path.iterdir():
            match = _MANIFEST.fullmatch(entry.name)
            if _is_leftover(entry.name) or (match and int(match[1]) > manifest.generation):
                with contextlib.suppress(FileNotFoundError):
                    entry.unlink()


def _is_leftover(name: str) -> bool:
    return name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)
