"""Mosaics: multi-label images made of two by two tiles from a set with one label an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashnet.datasets.images import QUERY_SPLIT, TRAIN_SPLIT, ImageSet, digest

TILES = 4


class MosaicImages:
    """An image set whose image ``i`` shows the tiles ``tiles[i]`` and has the union of their labels.

    First come ``n_train`` mosaics (split 0) made of training images of ``base``, then ``n_query`` (split 1)
    made of its query images, so that no tile is on both sides. A mosaic shows 1 to 4 classes, each number
    equally often: so pairs share all, some or no labels, as in real multi-label sets. Classes are drawn
    without replacement, then images of them with replacement; all from ``seed``. Images are put together when
    they are loaded: each tile is scaled to ``side`` pixels, by default the shorter side of the first tile.

    Raises ValueError for a base without a split or with other than one label an image.
    """

    def __init__(
        self, base: ImageSet, *, n_train: int, n_query: int, seed: int = 0, side: int | None = None
    ) -> None:
        label = _single_labels(base)
        if base.splits is None:
            raise ValueError(
                f"{base.source} has no split of its own, and tiles of queries must not be trained on; "
                "give a pack with split, or a list with a split column"
            )
        if n_train < 1 or n_query < 1:
            raise ValueError(f"n_train and n_query must be at least 1, got {n_train} and {n_query}")
        self._base = base
        self._side = min(base.load(0).size) if side is None else side
        if self._side < 1:
            raise ValueError(f"side must be at least 1 pixel, got {side}")
        # A stream of random numbers each, so that the number of training mosaics leaves the queries alone.
        streams = np.random.SeedSequence(seed).spawn(2)
        train, query = (
            draw_tiles(label, np.flatnonzero(base.splits == part), n, np.random.default_rng(stream))
            for part, n, stream in zip((TRAIN_SPLIT, QUERY_SPLIT), (n_train, n_query), streams, strict=True)
        )
        self.tiles: NDArray[np.int64] = np.concatenate([train, query])
        self.classes = base.classes
        self.labels: NDArray[np.uint8] = np.zeros((len(self.tiles), len(base.classes)), dtype=np.uint8)
        np.put_along_axis(self.labels, label[self.tiles], 1, axis=1)
        self.splits: NDArray[np.uint8] = np.repeat(
            np.array([TRAIN_SPLIT, QUERY_SPLIT], dtype=np.uint8), [n_train, n_query]
        )
        self.name = f"mosaic of {base.name}"
        self.source = f"mosaics of {base.source}"

    def __len__(self) -> int:
        return len(self.tiles)

    def key(self, i: int) -> str:
        """Return ``mosaic/number``."""
        if not 0 <= i < len(self):
            raise IndexError(f"mosaic {i} is outside [0, {len(self)})")
        return f"mosaic/{i:06d}"

    def load(self, i: int) -> Image.Image:
        """Return mosaic ``i``, ``2 side`` pixels wide; raise UnreadableImageError for an unreadable tile."""
        picture = Image.new("RGB", (2 * self._side, 2 * self._side))
        for place, row in enumerate(self.tiles[i]):
            tile = self._base.load(int(row))
            if tile.size != (self._side, self._side):
                tile = tile.resize((self._side, self._side), Image.Resampling.BICUBIC)
            picture.paste(tile, (place % 2 * self._side, place // 2 * self._side))
        return picture

    def identity(self) -> str:
        """Return a digest of the base's identity, the tiles and their side."""
        return self._digest(self._base.identity())

    def version(self) -> str:
        """Return a digest of the base's version, the tiles and their side."""
        return self._digest(self._base.version())

    def _digest(self, base: str) -> str:
        return digest("mosaic", [base.encode(), str(self._side).encode(), self.tiles.astype("<i8").tobytes()])


def draw_tiles(
    label: NDArray[np.int64], rows: NDArray[np.int64], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the four rows ``(n, 4)`` of each of ``n`` mosaics, out of ``rows`` with their class numbers.

    Only ``rng.random`` is drawn from, the part of numpy's generators that is least likely to change.
    """
    order = rows[np.argsort(label[rows], kind="stable")]
    classes, starts, counts = np.unique(label[order], return_index=True, return_counts=True)
    if len(classes) < TILES:
        raise ValueError(f"mosaics need tiles of at least {TILES} classes, got {len(classes)}")
    candidates = np.argsort(rng.random((n, len(classes))), axis=1)[:, :TILES]
    n_shown = 1 + np.floor(rng.random(n) * TILES).astype(np.int64)
    # The first n_shown places show a class each, the others repeat one of these; then places are shuffled.
    place = np.arange(TILES)
    again = np.floor(rng.random((n, TILES)) * n_shown[:, None]).astype(np.int64)
    which = np.where(place < n_shown[:, None], place, again)
    which = np.take_along_axis(which, np.argsort(rng.random((n, TILES)), axis=1), axis=1)
    chosen = np.take_along_axis(candidates, which, axis=1)
    offset = np.floor(rng.random((n, TILES)) * counts[chosen]).astype(np.int64)
    return order[starts[chosen] + offset].astype(np.int64)


def _single_labels(base: ImageSet) -> NDArray[np.int64]:
    if base.labels is None or not (base.labels.sum(axis=1, dtype=np.int64) == 1).all():
        raise ValueError(f"mosaics need tiles with one label each, and {base.source} has others")
    return base.labels.argmax(axis=1).astype(np.int64)
