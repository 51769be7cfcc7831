"""Every error and warning that hashnet raises on its own account.

Wrong arguments raise the built-in ``TypeError`` and ``ValueError``; what is here is what a caller may
want to catch by name. Every one survives the way from another process whole.
"""

from __future__ import annotations

from pathlib import Path


class HashnetError(Exception):
    """Base of all errors that are not plain wrong arguments."""


class DamagedError(HashnetError):
    """A file is truncated, corrupted or not what it claims to be (exit code 3)."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[DamagedError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)


class FingerprintError(HashnetError, ValueError):
    """Codes of two code spaces were about to be mixed."""

    def __init__(self, got: str, wanted: str, what: str = "codes") -> None:
        super().__init__(
            f"{what} carry fingerprint {got}, but {wanted} is wanted: they come from another model, "
            "preprocessing or n_bits, and their distances would mean nothing; encode with the same model"
        )
        self.got = got
        self.wanted = wanted
        self.what = what

    def __reduce__(self) -> tuple[type[FingerprintError], tuple[str, str, str]]:
        return type(self), (self.got, self.wanted, self.what)


class LockedError(HashnetError):
    """Another process holds the write lock of an index."""


class ReadOnlyError(HashnetError):
    """A change was asked of an index that was opened for reading."""


class IncompleteError(HashnetError):
    """Some shards did not answer, and a partial answer was not asked for (exit code 4)."""

    def __init__(self, missing: list[int], reason: str) -> None:
        super().__init__(
            f"shards {missing} did not answer ({reason}); ask again, or pass partial=True to take the "
            "answer of the others, marked as incomplete"
        )
        self.missing = missing
        self.reason = reason

    def __reduce__(self) -> tuple[type[IncompleteError], tuple[list[int], str]]:
        return type(self), (self.missing, self.reason)


class UnreadableImageError(HashnetError):
    """One image cannot be read; jobs count it and go on."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"image {key} cannot be read: {reason}")
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, str]]:
        return type(self), (self.key, self.reason)


class ErrorRateError(HashnetError):
    """More images were unreadable than ``max_error_rate`` allows."""


class ResumeError(HashnetError):
    """A checkpoint or a half-done job does not belong to the settings it was resumed with."""


class SourceChangedError(HashnetError):
    """Images changed while a job was reading them, or a worker sees other files than the driver."""


class HashnetWarning(UserWarning):
    """Base of all warnings."""


class CollapseWarning(HashnetWarning):
    """Training does not learn: the loss sits at ln 2, or the codes became few or constant."""
