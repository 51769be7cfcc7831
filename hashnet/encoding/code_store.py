"""The code store: a directory of checksummed shards of codes, ids and keys, as an encode job writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from hashnet.codes import Codes, Ids, check_n_bits
from hashnet.encoding.durable import FileMark, write_durably
from hashnet.encoding.settings import EncodeSettings
from hashnet.encoding.shards import CodeShard, RejectedRow, ShardEntry, read_rejects
from hashnet.errors import DamagedError
from hashnet.files import sync_directory

MANIFEST = "manifest.json"
REJECTS = "rejects.parquet"

_FORMAT = "hashnet-codes"
_VERSION = 1
# 300 bytes a shard: this is 3 million shards.
_MAX_MANIFEST_BYTES = 2**30


@dataclass(frozen=True)
class StoreManifest:
    """The committed content of a code store."""

    settings: EncodeSettings
    shards: tuple[ShardEntry, ...]
    n_rejects: int
    rejects: FileMark

    def to_bytes(self) -> bytes:
        """Return the manifest file, which carries its own checksum."""
        body = {
            "format": _FORMAT,
            "version": _VERSION,
            "n_codes": sum(shard.n_codes for shard in self.shards),
            "n_rejects": self.n_rejects,
            "settings": self.settings.to_json(),
            "rejects": self.rejects.to_json(),
            "shards": [shard.to_json() for shard in self.shards],
        }
        return (json.dumps({**body, "sha256": _checksum(body)}, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the manifest at ``path``; raise FileNotFoundError or DamagedError."""
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise DamagedError(path, f"a manifest has at most {_MAX_MANIFEST_BYTES} bytes")
        try:
            body = json.loads(path.read_bytes())
            checksum = body.pop("sha256")
            if (body["format"], body["version"]) != (_FORMAT, _VERSION):
                raise ValueError(
                    f"format {body['format']!r} version {body['version']!r}, this hashnet reads "
                    f"{_FORMAT!r} version {_VERSION}"
                )
            if checksum != _checksum(body):
                raise ValueError("it fails its own checksum")
            manifest = cls(
                EncodeSettings.from_json(body["settings"]),
                tuple(ShardEntry.from_json(shard) for shard in body["shards"]),
                body["n_rejects"],
                FileMark.from_json(body["rejects"]),
            )
            manifest._check(body["n_codes"])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DamagedError(path, str(error) or type(error).__name__) from error
        return manifest

    def _check(self, n_codes: int) -> None:
        if [shard.number for shard in self.shards] != list(range(self.settings.n_units)):
            raise ValueError(f"shards are not numbered 0 to {self.settings.n_units - 1}")
        if n_codes != sum(shard.n_codes for shard in self.shards):
            raise ValueError(f"n_codes is {n_codes}, the shards have another sum")
        if n_codes + self.n_rejects != self.settings.n_images:
            raise ValueError(
                f"{n_codes} codes and {self.n_rejects} rejects are not {self.settings.n_images} images"
            )


class CodeStore:
    """A complete code store, opened for reading.

    Opening checks the manifest; each shard is checked against its checksums when it is read. Reading raises
    DamagedError if a file is not what was written.
    """

    def __init__(self, path: Path, manifest: StoreManifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the store in ``path``; raise FileNotFoundError if no encode job was completed there."""
        path = Path(path)
        try:
            manifest = StoreManifest.read(path / MANIFEST)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{path} holds no complete code store: it has no {MANIFEST}; run hashnet encode with this "
                "output (again, if it was interrupted)"
            ) from None
        return cls(path, manifest)

    @property
    def n_bits(self) -> int:
        """Length of a code in bits."""
        return check_n_bits(self.manifest.settings.n_bits)

    @property
    def fingerprint(self) -> str:
        """The code space."""
        return self.manifest.settings.fingerprint

    @property
    def n_codes(self) -> int:
        """How many images have a code."""
        return sum(shard.n_codes for shard in self.manifest.shards)

    @property
    def n_rejects(self) -> int:
        """How many images were skipped because they could not be read."""
        return self.manifest.n_rejects

    @property
    def source(self) -> str:
        """The data as the user named it."""
        return self.manifest.settings.source

    @property
    def rejects(self) -> list[RejectedRow]:
        """The images that were skipped, and why."""
        path = self.path / REJECTS
        wrong = self.manifest.rejects.mismatch(path)
        if wrong is not None:
            raise DamagedError(path, f"it {wrong}; encode again into a new output")
        rows = read_rejects(path)
        if len(rows) != self.n_rejects:
            raise DamagedError(path, f"{len(rows)} rejects, the manifest says {self.n_rejects}")
        return rows

    def __len__(self) -> int:
        return self.n_codes

    def iter_shards(self) -> Iterator[CodeShard]:
        """Yield the shards in order, each checked; codes and ids are mapped, so memory stays bounded."""
        last = -1
        for entry in self.manifest.shards:
            shard = entry.read(self.path, n_bits=self.n_bits)
            if len(shard.ids):
                if int(shard.ids[0]) <= last:
                    raise DamagedError(entry.paths(self.path)[1], "ids overlap those of the shard before")
                last = int(shard.ids[-1])
            yield shard

    def codes(self) -> Codes:
        """Return all codes, ascending by id."""
        parts = [shard.codes for shard in self.iter_shards()]
        return np.concatenate([np.empty((0, self.n_bits // 8), dtype=np.uint8), *parts])

    def ids(self) -> Ids:
        """Return all ids: the row numbers of the images, ascending."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(shard.ids for shard in self.iter_shards())])

    def keys(self) -> list[str]:
        """Return all source keys, in the order of the ids."""
        return [key for shard in self.iter_shards() for key in shard.keys]

    def verify(self) -> None:
        """Read everything; raise DamagedError if anything is not what was written."""
        for _ in self.iter_shards():
            pass
        _ = self.rejects


def commit_manifest(path: Path, manifest: StoreManifest) -> CodeStore:
    """Make the store at ``path`` complete, durably: its files first, the manifest last."""
    sync_directory(path)
    write_durably(path / MANIFEST, manifest.to_bytes())
    sync_directory(path)
    return CodeStore(path, manifest)


def _checksum(body: dict[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return FileMark.of(canonical.encode()).sha256
