"""List files: a CSV with paths and labels, or the text lists that HashNet was published with."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.files import FileImages
from hashnet.datasets.images import QUERY_SPLIT, TRAIN_SPLIT
from hashnet.datasets.labels import class_names, multi_hot, one_hot

_VALIDATION = ("val", "valid", "validation")
_SPLITS = {
    **dict.fromkeys(("0", "train", "database"), TRAIN_SPLIT),
    **dict.fromkeys(("1", "test", "query", *_VALIDATION), QUERY_SPLIT),
}
_COLUMNS = {
    **dict.fromkeys(("path", "file", "filename", "file_name", "filepath", "image", "image_path"), "path"),
    **dict.fromkeys(("label", "class"), "label"),
    **dict.fromkeys(("labels", "classes", "tags"), "labels"),
    **dict.fromkeys(("split", "set", "subset"), "split"),
}
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon"}


def open_list(path: Path, *, image_root: Path | None = None) -> FileImages:
    """Return the images that a list file names, in its order.

    A CSV has the header ``path,label`` or ``path,labels`` (several labels separated by ``;`` or ``|``), or
    ``path`` alone, and perhaps a column ``split``: train or database, test or query; val counts as query
    where nothing else does. Usual other names of these columns are known (file, image, class, tags, ...), and
    fields may be parted by tabs or semicolons. A text list has lines ``path 0 1 0 ...`` with one column a
    class, ``path 7`` with a class number, or ``path`` alone. Paths are relative to ``image_root``, by default
    the folder of the list. Raises ValueError that names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); save the list as UTF-8") from None
    root = path.parent if image_root is None else image_root
    first = text.split("\n", 1)[0].strip().lower()
    is_csv = path.suffix.lower() in (".csv", ".tsv") or re.match(r"path\s*(,|$)", first) is not None
    return _open_csv(path, text, root) if is_csv else _open_text(path, text, root)


def _open_csv(path: Path, text: str, root: Path) -> FileImages:
    first = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ",\t;" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    line_of: dict[str, int] = {}
    paths: list[str] = []
    labels: list[list[str]] = []
    splits: list[str] = []
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        at = _columns(path, header)
        for row in reader:
            if not row:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise ValueError(
                    f"{where}: {len(row)} fields, the header has {len(header)} ({delimiter.join(header)}); "
                    f"quote fields that contain a {_NAMES[delimiter]}"
                )
            paths.append(_check_path(row[at["path"]].strip(), where))
            if "labels" in at:
                labels.append([name.strip() for name in re.split(r"[;|]", row[at["labels"]]) if name.strip()])
            elif "label" in at:
                name = row[at["label"]].strip()
                labels.append([name] if name else [])
            if "split" in at:
                splits.append(_split(row[at["split"]].strip().lower(), where))
            earlier = line_of.setdefault(paths[-1], reader.line_num)
            if labels and earlier != reader.line_num:
                raise ValueError(
                    f"{where}: {paths[-1]} is in line {earlier} already; give an image one row, and several "
                    "labels in one column labels, separated by ; or |"
                )
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
        splits=_sides(path, splits) if splits else None,
    )


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Return where each column is, by the name it has here."""
    known = [_COLUMNS.get(column) for column in header]
    at = {name: i for i, name in enumerate(known) if name is not None}
    if "path" not in at or None in known or len(at) < len(header) or {"label", "labels"} <= at.keys():
        raise ValueError(
            f"{path}, line 1: the header is {','.join(header)!r}, wanted is path,label or path,labels "
            "(several labels separated by ; or |) and perhaps split; rename or remove other columns"
        )
    return at


def _sides(path: Path, splits: list[str]) -> NDArray[np.uint8]:
    held_out = {name for name in splits if _SPLITS[name] == QUERY_SPLIT}
    if held_out & set(_VALIDATION) and held_out - set(_VALIDATION):
        raise ValueError(
            f"{path} has rows of the splits {', '.join(sorted(held_out))}, and queries are one of them; "
            "leave validation rows out, or call them train"
        )
    return np.array([_SPLITS[name] for name in splits], dtype=np.uint8)


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


def _split(value: str, where: str) -> str:
    if value not in _SPLITS:
        raise ValueError(f"{where}: split is {value!r}, wanted is one of {', '.join(_SPLITS)}")
    return value


def _check_any(path: Path, paths: list[str]) -> None:
    if not paths:
        raise ValueError(f"{path} lists no images; give one line an image")
