"""A folder of image files: a class per sub-folder, perhaps below train and test, or flat and unlabelled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.decode import SUFFIXES
from hashnet.datasets.files import FileImages
from hashnet.datasets.images import QUERY_SPLIT, TRAIN_SPLIT
from hashnet.datasets.labels import one_hot
from hashnet.datasets.walking import image_paths

# Folders that are the two sides of a split rather than classes.
_SIDES = {
    **dict.fromkeys(("train", "database"), TRAIN_SPLIT),
    **dict.fromkeys(("test", "query", "val", "valid", "validation"), QUERY_SPLIT),
}


def open_folder(folder: Path) -> FileImages:
    """Return the images below ``folder`` in the order of their relative paths as bytes, listed in memory.

    If every image lies in a sub-folder, the first-level sub-folders are the classes. If these are a pair like
    ``train`` and ``test`` (``database``, ``query`` or ``val``), they are the split instead, and the folders
    in them the classes. If any image lies outside a class, nothing is labelled. Hidden files and folders and
    files that are no images by their suffix are left out, as ``image_paths`` tells. Raises ValueError if no
    image is left, or if there are more sides than two.
    """
    paths = sorted(image_paths(folder), key=os.fsencode)
    if not paths:
        lists = (folder / "train.txt").is_file() and "; its published lists are opened by a protocol"
        raise ValueError(
            f"{folder} holds no images; wanted are files ending in {', '.join(sorted(SUFFIXES))}, "
            f"in the folder itself or in one sub-folder a class{lists or ''}"
        )
    splits = _split_of(folder, paths)
    within = [path.split("/", 1)[1] for path in paths] if splits is not None else paths
    labels, classes = _labels_of(within)
    return FileImages(
        folder,
        paths,
        name=folder.resolve().name,
        source=str(folder),
        labels=labels,
        classes=classes,
        splits=splits,
    )


def _split_of(folder: Path, paths: list[str]) -> NDArray[np.uint8] | None:
    """Return the split that the first-level folders are, None if they are classes or there are none."""
    firsts = [path.split("/", 1)[0].lower() if "/" in path else "" for path in paths]
    names = set(firsts)
    if not names <= _SIDES.keys() or {_SIDES[name] for name in names} != {TRAIN_SPLIT, QUERY_SPLIT}:
        return None
    if len(names) > 2:
        raise ValueError(
            f"{folder} has the folders {', '.join(sorted(names))}, and a split has two sides: training (and "
            "database), and queries; move one of them away, or list the images in a CSV with a split column"
        )
    return np.array([_SIDES[first] for first in firsts], dtype=np.uint8)


def _labels_of(paths: list[str]) -> tuple[NDArray[np.uint8] | None, tuple[str, ...]]:
    firsts = [path.split("/", 1)[0] for path in paths if "/" in path]
    if len(firsts) < len(paths):
        return None, ()
    names = sorted(set(firsts))
    column = {first: i for i, first in enumerate(names)}
    label = np.array([column[first] for first in firsts], dtype=np.int64)
    classes = tuple(os.fsencode(first).decode("utf-8", "backslashreplace") for first in names)
    return one_hot(label, len(classes)), classes
