"""Find out whether a user's data is a stream (Parquet, tar shards, addresses), and open it."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from hashnet.datasets.decode import SUFFIXES
from hashnet.datasets.entries import ImageSource, ImageStream
from hashnet.datasets.opening import open_images

if TYPE_CHECKING:
    from hashnet.datasets.storage import Storage, StoredFile

PARQUET = (".parquet", ".pq")
TAR = (".tar",)
LISTS = (".txt", ".lst", ".list", ".urls")
_PACKED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".txz", ".tbz2")


def open_source(
    data: str | Path,
    *,
    image_root: str | Path | None = None,
    image_column: str | None = None,
    key_column: str | None = None,
) -> ImageSource:
    """Return what ``data`` names: an image set as ``open_images`` returns it, or a stream.

    A stream is a .parquet or .tar file, a folder of these, or a text file (.txt, .lst, .list, .urls) of
    addresses, each on this machine or in storage that pyarrow reads (s3://, gs://, file://). The columns are
    for Parquet and found where they are not given; ``image_root`` is where the paths of a list begin. Raises
    FileNotFoundError, ValueError or DamagedError.
    """
    stream = _open_stream(str(data), image_root=image_root, image_column=image_column, key_column=key_column)
    if stream is None and "://" in str(data):
        # What is left is an image set, and those are files of this machine.
        data = absolute_data(data)
    source = open_images(data, image_root=image_root) if stream is None else stream
    if (image_column, key_column) != (None, None) and not hasattr(source, "columns"):
        raise ValueError(
            f"image and key columns are those of Parquet files, and {data} holds none; leave them out"
        )
    return source


def absolute_data(data: str | Path) -> str:
    """Return ``data`` of an image set so that processes in other folders find it: the absolute path."""
    if data == "digits":
        return str(data)
    from hashnet.datasets.storage import locate

    return str(Path(locate(str(data))[1]).absolute())


def _open_stream(
    data: str, *, image_root: str | Path | None, image_column: str | None, key_column: str | None
) -> ImageStream | None:
    """Return the stream that ``data`` is, or None for an image set."""
    from hashnet.datasets.storage import locate

    storage, path = locate(data)
    if storage.is_local:
        if path == "digits" or not Path(path).exists():
            return None
        # Workers start in folders of their own.
        path = str(Path(path).absolute())
    files, kind = _files_of(storage, path)
    if not files:
        return None
    # Without the query of an address, which may hold anything.
    source = data.split("?", 1)[0] if "://" in data else data
    name = posixpath.basename(path.rstrip("/")) or source
    if kind == "tar":
        from hashnet.datasets.tar_shards import TarShards

        return TarShards(files, name=name, source=source)
    if kind == "parquet":
        from hashnet.datasets.parquet_images import ParquetImages

        return ParquetImages(
            files, name=name, source=source, image_column=image_column, key_column=key_column
        )
    from hashnet.datasets.location_list import LocationList, first_line

    if storage.is_local and not path.lower().endswith(".urls") and "://" not in first_line(files[0]):
        return None
    base = (storage, posixpath.dirname(path)) if image_root is None else locate(str(image_root))
    if base[0].is_local:
        base = base[0], str(Path(base[1]).absolute())
    return LocationList(files[0], name=name, source=source, base=base)


def _files_of(storage: Storage, path: str) -> tuple[list[StoredFile], str]:
    """Return the files of a stream and what kind they are; none for anything else on this machine."""
    from hashnet.datasets.storage import files_below, stored_file

    lowered = path.lower()
    if lowered.endswith(_PACKED_TAR):
        raise ValueError(f"{path} is compressed, and its images have no fixed place; unpack it to .tar")
    kind = _kind(lowered)
    is_folder = os.path.isdir(path) if storage.is_local else kind is None  # noqa: PTH112 - a FIFO is none
    if not is_folder:
        regular = not storage.is_local or os.path.isfile(path)  # noqa: PTH113
        if kind is None or not regular:
            return [], ""
        return [stored_file(storage, path, posixpath.basename(path))], kind
    if storage.is_local and _holds_images(path):
        return [], ""
    files = files_below(storage, path, (*PARQUET, *TAR))
    found = sorted({_kind(file.name.lower()) or "" for file in files})
    if len(found) > 1:
        raise ValueError(f"{path} holds both Parquet and tar files; give the folder of one kind")
    if not files and not storage.is_local:
        raise ValueError(
            f"{path} holds no .parquet and no .tar files; for single image files in object storage give a "
            ".txt list of their addresses"
        )
    return files, found[0] if found else ""


def _kind(lowered: str) -> str | None:
    for kind, suffixes in (("parquet", PARQUET), ("tar", TAR), ("list", LISTS)):
        if lowered.endswith(suffixes):
            return kind
    return None


def _holds_images(folder: str) -> bool:
    """Return whether an image file lies anywhere below ``folder``; it ends with the first."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if any(
            os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")  # noqa: PTH122
            for name in files
        ):
            return True
    return False
