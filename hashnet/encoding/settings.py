"""What decides the bytes of a code store: between an encode job and its rerun it must not change."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import check_n_bits
from hashnet.datasets.entries import ImageSource, ImageStream

ALL_ROWS = "all"


@dataclass(frozen=True)
class EncodeSettings:
    """Model, images and work units of an encode job.

    ``identity`` is the version of the images (names, sizes and modification times of their files), ``rows``
    is "all" or a digest of the row numbers, ``n_images`` how many they are; a work unit is ``unit_size`` of
    them and becomes one shard.
    """

    fingerprint: str
    n_bits: int
    source: str
    identity: str
    rows: str
    n_images: int
    unit_size: int
    batch_size: int
    device: str

    def __post_init__(self) -> None:
        check_n_bits(self.n_bits)
        if self.unit_size < 1 or self.batch_size < 1 or self.n_images < 0:
            raise ValueError(
                f"unit_size and batch_size must be at least 1 and n_images at least 0, got {self.unit_size}, "
                f"{self.batch_size} and {self.n_images}"
            )

    @property
    def n_units(self) -> int:
        """Number of work units."""
        return -(-self.n_images // self.unit_size)

    def unit(self, number: int) -> slice:
        """Return which of the rows a work unit holds."""
        return slice(number * self.unit_size, min((number + 1) * self.unit_size, self.n_images))

    def differences(self, other: EncodeSettings) -> list[str]:
        """Return what ``other`` has otherwise, as ``name: this -> that``.

        The name of the source does not count: the identity says whether the images are the same.
        """
        return [
            f"{field.name}: {mine} -> {theirs}"
            for field in fields(self)
            if field.name != "source"
            and (mine := getattr(self, field.name)) != (theirs := getattr(other, field.name))
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the settings that ``to_json`` wrote; raise ValueError or TypeError for anything else."""
        wanted = {field.name: str(field.type) for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != set(wanted):
            raise ValueError(f"settings must have the keys {sorted(wanted)}")
        for name, kind in wanted.items():
            if type(values[name]).__name__ != kind:
                raise ValueError(f"setting {name} must be of type {kind}, got {values[name]!r}")
        return cls(**values)


def settings_of(
    images: ImageSource,
    rows: NDArray[np.int64] | None,
    *,
    fingerprint: str,
    n_bits: int,
    unit_size: int,
    batch_size: int,
    device: str,
) -> EncodeSettings:
    """Return the settings for encoding ``rows`` of ``images`` (all, if None).

    Raises ValueError unless the rows ascend strictly within the image set: ids are row numbers, each once;
    and for no images, or rows chosen from a stream, which is encoded whole.
    """
    chosen, n_images = ALL_ROWS, len(images)
    if n_images == 0:
        raise ValueError(f"{images.source} holds no images; there is nothing to encode")
    if rows is not None:
        if isinstance(images, ImageStream):
            raise ValueError(f"{images.source} is a stream, which is encoded whole; leave the rows out")
        check_rows(rows, len(images))
        if len(rows) != len(images):
            chosen = f"sha256:{hashlib.sha256(rows.astype('<i8').tobytes()).hexdigest()}"
            n_images = len(rows)
    return EncodeSettings(
        fingerprint=fingerprint,
        n_bits=n_bits,
        source=images.source,
        identity=images.version(),
        rows=chosen,
        n_images=n_images,
        unit_size=unit_size,
        batch_size=batch_size,
        device=device,
    )


def check_rows(rows: Any, n: int) -> NDArray[np.int64]:
    """Return ``rows`` if int64, strictly ascending and in ``[0, n)``; else raise TypeError or ValueError."""
    if not isinstance(rows, np.ndarray) or rows.dtype != np.int64 or rows.ndim != 1:
        raise TypeError(f"rows must be a vector of int64, got {getattr(rows, 'dtype', type(rows).__name__)}")
    if len(rows) and (int(rows[0]) < 0 or int(rows[-1]) >= n):
        raise ValueError(f"rows must lie in [0, {n}), got {rows.min()} to {rows.max()}")
    if bool((np.diff(rows) <= 0).any()):
        raise ValueError("rows must ascend strictly, for they become ids; pass np.unique(rows)")
    return rows
