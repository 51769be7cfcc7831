"""Find out whether a user's data is a stream (image folder, Parquet, tar shards, addresses), and open it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hashnet.datasets.entries import ImageSource, ImageStream
from hashnet.datasets.opening import open_images
from hashnet.datasets.walking import FoundFile, image_files

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
    in_memory: bool = False,
) -> ImageSource:
    """Return what ``data`` names: an image set as ``open_images`` returns it, or a stream.

    A stream is a folder of images, a .parquet or .tar file, a folder of these, or a text file (.txt, .lst,
    .list, .urls) of addresses, each on this machine or in storage that pyarrow reads (s3://, gs://, file://).
    ``in_memory`` makes an image set of a folder of this machine, for who needs its labels or chosen rows. The
    columns are for Parquet and found where they are not given; ``image_root`` is where the paths of a list
    begin. Raises FileNotFoundError, ValueError or DamagedError.
    """
    stream = _open_stream(
        str(data),
        image_root=image_root,
        image_column=image_column,
        key_column=key_column,
        in_memory=in_memory,
    )
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
    data: str,
    *,
    image_root: str | Path | None,
    image_column: str | None,
    key_column: str | None,
    in_memory: bool,
) -> ImageStream | None:
    """Return the stream that ``data`` is, or None for an image set."""
    from hashnet.datasets.folder_stream import FolderStream
    from hashnet.datasets.storage import locate

    storage, path = locate(data)
    if storage.is_local:
        if path == "digits" or not Path(path).exists():
            return None
        # Workers start in folders of their own.
        path = str(Path(path).absolute())
    # Without the query of an address, which may hold anything.
    source = data.split("?", 1)[0] if "://" in data else data
    name = posixpath.basename(path.rstrip("/")) or source
    images = _images_in(storage, path)
    if images is not None:
        if storage.is_local:
            # As the image set of the folder has them.
            source, name = path if "://" in data else str(Path(data)), Path(path).resolve().name
        wanted = not (in_memory and storage.is_local)
        return FolderStream(storage, path, images, name=name, source=source) if wanted else None
    files, kind = _files_of(storage, path)
    if kind == "tar":
        from hashnet.datasets.tar_shards import TarShards

        return TarShards(files, name=name, source=source)
    if kind == "parquet":
        from hashnet.datasets.parquet_images import ParquetImages

        return ParquetImages(
            files, name=name, source=source, image_column=image_column, key_column=key_column
        )
    if kind == "list":
        return _open_list(storage, path, files[0], name=name, source=source, image_root=image_root)
    return None


def _open_list(
    storage: Storage, path: str, file: StoredFile, *, name: str, source: str, image_root: str | Path | None
) -> ImageStream | None:
    """Return the list of addresses that ``file`` is, or None for a list of plain paths of this machine."""
    from hashnet.datasets.location_list import LocationList, first_line
    from hashnet.datasets.storage import locate

    if storage.is_local and not path.lower().endswith(".urls") and "://" not in first_line(file):
        return None
    base = (storage, posixpath.dirname(path)) if image_root is None else locate(str(image_root))
    if base[0].is_local:
        base = base[0], str(Path(base[1]).absolute())
    return LocationList(file, name=name, source=source, base=base)


def _images_in(storage: Storage, path: str) -> Iterator[FoundFile] | None:
    """Return the image files below a folder, None if there are none or it is no folder.

    One walk tells what the folder holds and lists it.
    """
    if not _is_folder(storage, path):
        return None
    images = image_files(storage, path)
    first = next(images, None)
    return None if first is None else chain([first], images)


def _files_of(storage: Storage, path: str) -> tuple[list[StoredFile], str]:
    """Return the files of a stream and what kind they are; none for anything else on this machine."""
    from hashnet.datasets.storage import files_below, stored_file

    kind = _kind(path)
    if not _is_folder(storage, path):
        regular = not storage.is_local or os.path.isfile(path)  # noqa: PTH113
        if kind is None or not regular:
            return [], ""
        return [stored_file(storage, path, posixpath.basename(path))], kind
    files = files_below(storage, path, (*PARQUET, *TAR))
    found = sorted({_kind(file.name) or "" for file in files})
    if len(found) > 1:
        raise ValueError(f"{path} holds both Parquet and tar files; give the folder of one kind")
    if not files and not storage.is_local:
        raise ValueError(
            f"{path} holds no images, no .parquet and no .tar files; wanted is a folder of either, or the "
            "address of one such file or of a .txt list of addresses"
        )
    return files, found[0] if found else ""


def _is_folder(storage: Storage, path: str) -> bool:
    """Return whether ``path`` is a folder; of object storage: whether it has no name of a stream."""
    if storage.is_local:
        return os.path.isdir(path)  # noqa: PTH112 - a FIFO is none
    return _kind(path) is None


def _kind(name: str) -> str | None:
    """Return the kind of stream that a name stands for; raise ValueError for packed tar files."""
    lowered = name.lower()
    if lowered.endswith(_PACKED_TAR):
        raise ValueError(f"{name} is compressed, and its images have no fixed place; unpack it to .tar")
    for kind, suffixes in (("parquet", PARQUET), ("tar", TAR), ("list", LISTS)):
        if lowered.endswith(suffixes):
            return kind
    return None
