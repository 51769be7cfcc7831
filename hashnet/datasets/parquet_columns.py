"""Which columns of a Parquet file are images and keys, and how a row of them is read."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.types as kinds

# Tried in this order where nobody named the column of the keys.
KEY_NAMES = ("key", "__key__", "id", "image_id", "path", "file_name", "filename", "name", "url")


class ColumnError(ValueError):
    """The columns of images and keys are not there, or not told apart without being named."""


class Columns(NamedTuple):
    """Where images and keys are: leaf paths like ``image.bytes``; without a key, rows are named by number."""

    image: str
    key: str | None

    @property
    def leaves(self) -> list[str]:
        """The leaf columns to read."""
        return [self.image] if self.key is None else [self.image, self.key]

    def values(self, batch: Any, i: int) -> tuple[bytes | None, str | None]:
        """Return image bytes and key of row ``i`` of a record batch, None for a null."""
        image = _leaf(batch, self.image, i)
        key = None if self.key is None else _leaf(batch, self.key, i)
        return image, None if key is None else _text(key)


def find_columns(schema: Any, where: str, image_column: str | None, key_column: str | None) -> Columns:
    """Return the columns of a schema, given or found; raise ColumnError that lists what there is."""
    images = {field.name: leaf for field in schema if (leaf := _image_leaf(field)) is not None}
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)[:500]
    if image_column is None:
        if len(images) != 1:
            raise ColumnError(
                f"{where} has {len(images)} columns that may hold image bytes "
                f"({', '.join(images) or listed}); name it with --image-column"
            )
        image_column = next(iter(images))
    elif image_column not in images:
        raise ColumnError(
            f"{where} has no column {image_column!r} of image bytes (binary, or a struct with binary "
            f"'bytes'); its columns are {listed}"
        )
    names = {field.name: field for field in schema}
    if key_column is not None:
        if key_column not in names or not _is_key(names[key_column].type):
            raise ColumnError(
                f"{where} has no column {key_column!r} of keys (text or whole numbers); it has {listed}"
            )
        return Columns(images[image_column], key_column)
    found = next((name for name in KEY_NAMES if name in names and _is_key(names[name].type)), None)
    if found is None and kinds.is_struct(kind := names[image_column].type):
        index = kind.get_field_index("path")
        found = f"{image_column}.path" if index >= 0 and _is_key(kind.field(index).type) else None
    return Columns(images[image_column], found)


def _image_leaf(field: Any) -> str | None:
    """Return the leaf column of ``field`` that may hold image files."""
    if _is_binary(field.type):
        name: str = field.name
        return name
    if kinds.is_struct(field.type):
        index = field.type.get_field_index("bytes")
        if index >= 0 and _is_binary(field.type.field(index).type):
            return f"{field.name}.bytes"
    return None


def _is_binary(kind: Any) -> bool:
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def _is_key(kind: Any) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_integer(kind))


def _leaf(batch: Any, leaf: str, i: int) -> Any:
    name, _, inner = leaf.partition(".")
    # A column may itself have a point in its name.
    if leaf in batch.schema.names:
        return batch.column(leaf)[i].as_py()
    value = batch.column(name)[i]
    return value[inner].as_py() if value.is_valid else None


def _text(key: Any) -> str:
    if isinstance(key, pa.Scalar):
        key = key.as_py()
    return str(key)
