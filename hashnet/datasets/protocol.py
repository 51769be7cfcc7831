"""What a protocol is, and what it makes of data: three lists of rows, their faults and their checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.images import ImageSet, digest

SIMILARITY = "at least one shared label"
LISTS = ("database", "query", "train")

Rule = Literal["lists", "own", "per class", "mosaic"]


@dataclass(frozen=True)
class Protocol:
    """A recipe that fixes everything a retrieval figure depends on besides the method.

    ``rule`` says where the three lists come from: ``lists`` reads those that were published, ``own`` takes
    the split of the data, ``per class`` draws by ``seed``, ``mosaic`` makes images by ``seed``. ``split`` and
    ``sampling`` say it in words. ``at`` is R of MAP@R, None for the whole database. ``seed`` also shuffles
    the database where equal distances are ranked. The counts are what the recipe prescribes; 0 leaves them
    to the data. ``checksums`` are those of the known data: of the labels of each list in its order
    ("database", "query", "train") and of the "rows". ``known_faults`` are those of the published lists,
    which cannot be seen where only their labels are at hand.
    """

    name: str
    title: str
    source: str
    rule: Rule
    split: str
    sampling: str
    at: int | None
    n_classes: int
    n_database: int
    n_query: int
    n_train: int
    similarity: str = SIMILARITY
    seed: int = 0
    query_per_class: int = 0
    train_per_class: int = 0
    checksums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known_faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProtocolData:
    """Data opened by a protocol: images, and the rows of database, queries and training set (int64).

    Rows are in the order of their lists. ``faults`` tells in words what is wrong with the lists, or differs
    from the recipe; nothing is mended unasked. ``names`` tell which images the rows are: the names that
    published lists give, or a digest of a mosaic's tiles; empty where the row numbers of the data say it.
    """

    protocol: Protocol
    images: ImageSet
    database: NDArray[np.int64]
    query: NDArray[np.int64]
    train: NDArray[np.int64]
    faults: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    repaired: bool = False

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Multi-hot labels of all images, ``(n, n_classes)``."""
        if self.images.labels is None:
            raise ValueError(f"{self.images.source} has no labels, and a protocol needs them")
        return self.images.labels

    @property
    def at(self) -> int:
        """R of MAP@R."""
        return len(self.database) if self.protocol.at is None else self.protocol.at

    def rows(self, name: str) -> NDArray[np.int64]:
        """Return the rows of the list ``database``, ``query`` or ``train``."""
        if name not in LISTS:
            raise ValueError(f"a protocol has the lists {', '.join(LISTS)}, got {name!r}")
        rows: NDArray[np.int64] = getattr(self, name)
        return rows

    def checksums(self) -> dict[str, str]:
        """Return ``sha256:<hex>`` over rows and names of all lists, and over the labels of each list."""
        sums = {name: label_checksum(self.labels[self.rows(name)]) for name in LISTS}
        parts = [self.rows(name).astype("<i8").tobytes() for name in LISTS]
        parts += [name.encode("utf-8", "surrogateescape") for name in self.names]
        return {"rows": digest("rows", parts), **sums}

    @property
    def checksum(self) -> str:
        """``sha256:<hex>`` over the protocol's name, R, rows and labels; figures of one are comparable."""
        sums = self.checksums()
        parts = [self.protocol.name, str(self.at), *(sums[name] for name in ("rows", *LISTS))]
        return digest("protocol", [part.encode() for part in parts])

    def is_known(self) -> bool:
        """Return whether the checksums are those of the data on which the recipe is known."""
        known, sums = self.protocol.checksums, self.checksums()
        return bool(known) and all(sums[name] in accepted for name, accepted in known.items())

    def describe(self) -> dict[str, Any]:
        """Return what is stored with every figure, as plain JSON values."""
        protocol = self.protocol
        return {
            "protocol": protocol.name,
            "source": protocol.source,
            "split": protocol.split,
            "sampling": protocol.sampling,
            "similarity": protocol.similarity,
            "R": self.at,
            "seed": protocol.seed,
            "data": self.images.source,
            "n_classes": int(self.labels.shape[1]),
            "n_database": len(self.database),
            "n_query": len(self.query),
            "n_train": len(self.train),
            "checksum": self.checksum,
            "known_data": self.is_known(),
            "repaired": self.repaired,
            "faults": list(self.faults),
        }

    def repair(self) -> ProtocolData:
        """Return the same without queries in the database and with the training images in it.

        That is what the papers describe: COCO's released database of 112,218 becomes one of 117,218.
        """
        kept = self.database[~np.isin(self.database, self.query)]
        added = self.train[~np.isin(self.train, kept) & ~np.isin(self.train, self.query)]
        mended = replace(self, database=np.concatenate([kept, added]), repaired=True)
        return replace(mended, faults=find_faults(mended, counts=False))


def label_checksum(labels: NDArray[np.uint8]) -> str:
    """Return ``sha256:<hex>`` over multi-hot labels: their shape and their packed bits, row by row."""
    shape = np.array(labels.shape, dtype="<i8").tobytes()
    return digest("labels", [shape, np.packbits(labels, axis=1).tobytes()])


def find_faults(data: ProtocolData, *, counts: bool = True, overlaps: bool = True) -> tuple[str, ...]:
    """Return what is wrong with the lists of ``data``, a sentence each.

    ``counts`` compares their lengths with the recipe's; ``overlaps`` looks for images on two sides.
    """
    protocol, labels = data.protocol, data.labels
    faults = []
    wanted = {"database": protocol.n_database, "query": protocol.n_query, "train": protocol.n_train}
    for name in LISTS:
        rows, n = data.rows(name), wanted[name]
        if counts and n and len(rows) != n:
            faults.append(f"the {name} list has {len(rows):,} rows, the protocol has {n:,}")
        bare = int(np.count_nonzero(~labels[rows].any(axis=1)))
        if bare:
            faults.append(
                f"{bare:,} of {len(rows):,} rows of the {name} list carry no label and are similar to nothing"
            )
        repeated = len(rows) - len(np.unique(rows))
        if repeated:
            faults.append(f"the {name} list repeats images in {repeated:,} rows")
    if protocol.n_classes and labels.shape[1] != protocol.n_classes:
        faults.append(f"the labels have {labels.shape[1]} classes, the protocol has {protocol.n_classes}")
    return (*faults, *(_overlaps(data) if overlaps else ()))


def _overlaps(data: ProtocolData) -> list[str]:
    faults = []
    leaked = int(np.count_nonzero(np.isin(data.query, data.database)))
    if leaked:
        faults.append(
            f"{leaked:,} of {len(data.query):,} queries are in the database as well and find themselves first"
        )
    seen = int(np.count_nonzero(np.isin(data.query, data.train)))
    if seen:
        faults.append(f"{seen:,} of {len(data.query):,} queries are trained on")
    outside = int(np.count_nonzero(~np.isin(data.train, data.database)))
    if outside:
        faults.append(f"{outside:,} of {len(data.train):,} training images are not in the database")
    return faults
