"""List files: a CSV with paths and labels, or the text lists that HashNet was published with."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np

from hashnet.datasets.files import FileImages
from hashnet.datasets.images import QUERY_SPLIT, TRAIN_SPLIT
from hashnet.datasets.labels import class_names, multi_hot, one_hot

_SPLITS = {
    **dict.fromkeys(("0", "train", "database"), TRAIN_SPLIT),
    **dict.fromkeys(("1", "test", "query"), QUERY_SPLIT),
}
_COLUMNS = ("path", "label", "labels", "split")


def open_list(path: Path, *, image_root: Path | None = None) -> FileImages:
    """Return the images that a list file names, in its order.

    A CSV has the header ``path,label`` or ``path,labels`` (several labels separated by ``;`` or ``|``), or
    ``path`` alone, and perhaps a column ``split`` (train or database, test or query). A text list has lines
    ``path 0 1 0 ...`` with one column a class, ``path 7`` with a class number, or ``path`` alone. Paths are
    relative to ``image_root``, by default the folder of the list. Raises ValueError that names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); save the list as UTF-8") from None
    root = path.parent if image_root is None else image_root
    first = text.split("\n", 1)[0].strip()
    is_csv = path.suffix.lower() == ".csv" or re.match(r"path\s*(,|$)", first) is not None
    return _open_csv(path, text, root) if is_csv else _open_text(path, text, root)


def _open_csv(path: Path, text: str, root: Path) -> FileImages:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    paths: list[str] = []
    labels: list[list[str]] = []
    splits: list[int] = []
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        _check_header(path, header)
        at = {column: i for i, column in enumerate(header)}
        for row in reader:
            if not row:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise ValueError(
                    f"{where}: {len(row)} fields, the header has {len(header)} ({','.join(header)}); "
                    "quote fields that contain a comma"
                )
            paths.append(_check_path(row[at["path"]].strip(), where))
            if "labels" in at:
                labels.append([name.strip() for name in re.split(r"[;|]", row[at["labels"]]) if name.strip()])
            elif "label" in at:
                name = row[at["label"]].strip()
                labels.append([name] if name else [])
            if "split" in at:
                splits.append(_split(row[at["split"]].strip().lower(), where))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error}); check the quotes") from None
    _check_any(path, paths)
    classes = class_names({name for names in labels for name in names})
    return FileImages(
        root,
        paths,
        name=path.stem,
        source=str(path),
        labels=multi_hot(labels, classes) if classes else None,
        classes=classes,
        splits=np.array(splits, dtype=np.uint8) if splits else None,
    )


def _check_header(path: Path, header: list[str]) -> None:
    unknown = [column for column in header if column not in _COLUMNS]
    if (
        "path" not in header
        or unknown
        or len(set(header)) < len(header)
        or {"label", "labels"} <= set(header)
    ):
        raise ValueError(
            f"{path}, line 1: the header is {','.join(header)!r}, wanted is path,label or path,labels "
            "(several labels separated by ; or |) and perhaps split"
        )


def _open_text(path: Path, text: str, root: Path) -> FileImages:
    paths: list[str] = []
    rows: list[str] = []
    n_columns: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        tokens = line.split()
        if not tokens:
            continue
        where = f"{path}, line {number}"
        if n_columns is None:
            n_columns = _label_columns(tokens)
        fields = line.rsplit(maxsplit=n_columns) if n_columns else [line]
        rows.append(_row(fields, n_columns, where))
        paths.append(_check_path(fields[0].strip(), where))
    _check_any(path, paths)
    labels = None
    if n_columns == 1:
        # A single column of 0 and 1 would be a set of one class: it can only mean class numbers.
        label = np.array(rows, dtype=np.int64)
        if int(label.max()) >= 1_000_000:
            raise ValueError(f"{path}: class number {label.max()} is too large; number the classes from 0")
        labels = one_hot(label, int(label.max()) + 1)
    elif n_columns:
        digits = np.frombuffer("".join(rows).encode(), dtype=np.uint8)
        labels = (digits - ord("0")).reshape(len(rows), n_columns)
    classes = tuple(str(i) for i in range(0 if labels is None else labels.shape[1]))
    return FileImages(root, paths, name=path.stem, source=str(path), labels=labels, classes=classes)


def _row(fields: list[str], n_columns: int, where: str) -> str:
    """Return the label columns of a line, joined: one digit for each of several classes, or one number."""
    row = "".join(fields[1:])
    # As many digits as columns, all 0 or 1: nothing is left to check, in lists of 10 million labels.
    if n_columns > 1 and len(fields) == n_columns + 1 and len(row) == n_columns and not row.strip("01"):
        return row
    if len(fields) != n_columns + 1 or not all(map(_is_number, fields[1:])):
        raise ValueError(
            f"{where}: wanted a path and {n_columns} numbers as in the first line, "
            f"got {' '.join(fields)[:80]!r}"
        )
    if n_columns > 1:
        raise ValueError(
            f"{where}: labels must be 0 or 1, one column a class, got {max(fields[1:], key=int)}"
        )
    return row


def _label_columns(tokens: list[str]) -> int:
    n = 0
    while n < len(tokens) - 1 and _is_number(tokens[-1 - n]):
        n += 1
    return n


def _is_number(token: str) -> bool:
    # 9 digits fit an int64 whatever they are.
    return token.isascii() and token.isdigit() and len(token) <= 9


def _check_path(path: str, where: str) -> str:
    if not path or "\0" in path:
        raise ValueError(f"{where}: the path is {path!r}; give the path of an image file")
    return path


def _split(value: str, where: str) -> int:
    if value not in _SPLITS:
        raise ValueError(f"{where}: split is {value!r}, wanted is one of {', '.join(_SPLITS)}")
    return _SPLITS[value]


def _check_any(path: Path, paths: list[str]) -> None:
    if not paths:
        raise ValueError(f"{path} lists no images; give one line an image")
