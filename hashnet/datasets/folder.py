"""A folder of image files: a class per sub-folder, or flat and without labels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hashnet.datasets.decode import SUFFIXES
from hashnet.datasets.files import FileImages
from hashnet.datasets.labels import one_hot
from hashnet.datasets.walking import image_paths


def open_folder(folder: Path) -> FileImages:
    """Return the images below ``folder`` in the order of their relative paths as bytes, listed in memory.

    If every image lies in a sub-folder, the first-level sub-folders are the classes. If any image lies in
    ``folder`` itself, nothing is labelled. Hidden files and folders and files that are no images by their
    suffix are left out, as ``image_paths`` tells. Raises ValueError if no image is left.
    """
    paths = sorted(image_paths(folder), key=os.fsencode)
    if not paths:
        raise ValueError(
            f"{folder} holds no images; wanted are files ending in {', '.join(sorted(SUFFIXES))}, "
            "in the folder itself or in one sub-folder a class"
        )
    firsts = [path.split("/", 1)[0] if "/" in path else None for path in paths]
    name = folder.resolve().name
    if any(first is None for first in firsts):
        return FileImages(folder, paths, name=name, source=str(folder))
    found = [first for first in firsts if first is not None]
    names = sorted(set(found))
    column = {first: i for i, first in enumerate(names)}
    label = np.array([column[first] for first in found], dtype=np.int64)
    classes = tuple(os.fsencode(first).decode("utf-8", "backslashreplace") for first in names)
    return FileImages(
        folder, paths, name=name, source=str(folder), labels=one_hot(label, len(classes)), classes=classes
    )
