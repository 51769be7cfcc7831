"""The lists that HashNet and its successors were published with, and the images that they name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.files import FileImages
from hashnet.datasets.list_file import open_list

_FILES = {"database": ("database",), "query": ("test", "query"), "train": ("train",)}
_FOLDERS = (".", "test")


@dataclass(frozen=True)
class ReleasedLists:
    """The images that the lists name, each once, and the rows of each list in its order.

    Images are told by their file names, which the data sets keep unique: the published paths are those of
    the authors' machine and differ from list to list. ``names`` has the file name of each row. ``faults``
    are about names, labels and files; those about rows are found by :mod:`hashnet.datasets.protocol`.
    """

    images: FileImages
    database: NDArray[np.int64]
    query: NDArray[np.int64]
    train: NDArray[np.int64]
    names: tuple[str, ...]
    faults: tuple[str, ...]


def open_released_lists(folder: Path, *, image_root: Path | None = None) -> ReleasedLists:
    """Read ``database.txt``, ``test.txt`` (or ``query.txt``) and ``train.txt`` of a folder.

    A list may be cut into parts that are read in order (``test/database0.txt``, ``test/database1.txt``, ...),
    as in the Caffe release. Lines are a path and one column of 0 and 1 a class. Images are looked for below
    ``image_root`` (default: the folder) at the listed path, and else wherever a file of that name lies, so
    that standard downloads need not be rearranged. Raises ValueError where a list is missing or wrong.
    """
    files = {role: _find(folder, role) for role in _FILES}
    missing = [role for role, found in files.items() if not found]
    if missing:
        raise ValueError(
            f"{folder} has no {' and no '.join(missing)} list; wanted are database.txt, test.txt and "
            "train.txt, or parts like test/database0.txt, as the authors of HashNet publish them"
        )
    listed = {role: _read(found) for role, found in files.items()}
    width = _width(folder, {role: labels for role, (_, labels) in listed.items()})
    row_of: dict[str, int] = {}
    paths: list[str] = []
    first: list[NDArray[np.uint8]] = []
    rows: dict[str, NDArray[np.int64]] = {}
    contradicted = 0
    for role, (listed_paths, labels) in listed.items():
        padded = np.zeros((len(labels), width), dtype=np.uint8)
        padded[:, : labels.shape[1]] = labels
        numbers = np.empty(len(listed_paths), dtype=np.int64)
        for i, path in enumerate(listed_paths):
            row = row_of.setdefault(PurePosixPath(path).name, len(paths))
            if row == len(paths):
                paths.append(path)
                first.append(padded[i])
            elif not np.array_equal(first[row], padded[i]):
                contradicted += 1
            numbers[i] = row
        rows[role] = numbers
    faults = []
    if contradicted:
        faults.append(
            f"{contradicted:,} rows give an image other labels than an earlier row; the first counts"
        )
    root = folder if image_root is None else image_root
    located, n_missing = locate(root, paths)
    if n_missing:
        faults.append(f"{n_missing:,} of {len(paths):,} listed images are not below {root}; check image_root")
    images = FileImages(
        root,
        located,
        name=folder.resolve().name,
        source=str(folder),
        labels=np.stack(first),
        classes=tuple(str(i) for i in range(width)),
    )
    return ReleasedLists(images, **rows, names=tuple(row_of), faults=tuple(faults))


def locate(root: Path, paths: list[str]) -> tuple[list[str], int]:
    """Return where each listed path lies, relative to ``root``, and how many of them lie nowhere below it.

    If the listed paths hold as they stand, nothing is searched; else files are found by name, and of several
    of one name that with the longest common tail is taken. A path that is not found stays as it is listed.
    """
    relative = [path.removeprefix("./") for path in paths]
    if all((root / path).is_file() for path in relative):
        return relative, 0
    wanted = {PurePosixPath(path).name for path in relative}
    found: dict[str, list[str]] = {}
    for place, folders, files in os.walk(root):
        folders.sort()
        below = os.path.relpath(place, root).replace(os.sep, "/")
        prefix = "" if below == "." else below + "/"
        for name in files:
            if name in wanted:
                found.setdefault(name, []).append(prefix + name)
    located = []
    n_missing = 0
    for path in relative:
        candidates = found.get(PurePosixPath(path).name, [])
        n_missing += not candidates
        located.append(max(sorted(candidates), key=lambda one: _common_tail(one, path), default=path))
    return located, n_missing


def _common_tail(path: str, other: str) -> int:
    pairs = zip(reversed(PurePosixPath(path).parts), reversed(PurePosixPath(other).parts), strict=False)
    n = 0
    for a, b in pairs:
        if a != b:
            break
        n += 1
    return n


def _find(folder: Path, role: str) -> list[Path]:
    """Return the file of a list, or its numbered parts in order."""
    for place in (folder / name for name in _FOLDERS):
        for stem in _FILES[role]:
            whole = place / f"{stem}.txt"
            if whole.is_file():
                return [whole]
            numbered = {
                int(match[1]): path
                for path in place.glob(f"{stem}*.txt")
                if (match := re.fullmatch(rf"{stem}([0-9]{{1,4}})\.txt", path.name))
            }
            if numbered:
                gaps = sorted(set(range(min(numbered), max(numbered) + 1)) - set(numbered))
                if gaps or min(numbered) > 1:
                    raise ValueError(
                        f"{place} holds parts {sorted(numbered)} of the {role} list; parts are missing"
                    )
                return [numbered[number] for number in sorted(numbered)]
    return []


def _read(files: list[Path]) -> tuple[list[str], NDArray[np.uint8]]:
    paths: list[str] = []
    labels = []
    for file in files:
        images = open_list(file)
        if images.labels is None:
            raise ValueError(f"{file} lists paths without labels; wanted is a column of 0 and 1 a class")
        paths += [images.key(i) for i in range(len(images))]
        labels.append(images.labels)
    width = max(part.shape[1] for part in labels)
    joined = np.zeros((len(paths), width), dtype=np.uint8)
    at = 0
    for part in labels:
        joined[at : at + len(part), : part.shape[1]] = part
        at += len(part)
    return paths, joined


def _width(folder: Path, labels: dict[str, NDArray[np.uint8]]) -> int:
    """Return the number of classes; class numbers alone may leave the last classes out of a list."""
    widths = {role: rows.shape[1] for role, rows in labels.items()}
    single = all((rows.sum(axis=1) == 1).all() for rows in labels.values())
    if len(set(widths.values())) > 1 and not single:
        raise ValueError(f"the lists of {folder} differ in their number of classes: {widths}")
    return max(widths.values())
