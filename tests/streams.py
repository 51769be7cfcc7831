"""Small streams for tests: the same images as files, in tar shards and in Parquet."""

import io
import tarfile
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(i):
    """Image file ``i``: its red channel is ``i``."""
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (i % 256, i // 256, 0)).save(file, "PNG")
    return file.getvalue()


def number(entry):
    """Which image an entry is."""
    red, green, _ = entry.load().getpixel((0, 0))
    return red + 256 * green


def write_tar(path, members, format=tarfile.GNU_FORMAT):  # noqa: A002
    """Write a tar file of (name, bytes) pairs."""
    with path.open("wb") as file:
        write_tar_to(file, members, format)
    return path


def write_tar_to(file, members, format=tarfile.GNU_FORMAT):  # noqa: A002
    """Write (name, bytes) pairs as a tar file to an open file."""
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_parquet(path, images, *, group=10, **columns):
    """Write a Parquet file with a column ``image`` of bytes and others."""
    table = pa.table({"image": pa.array(images, pa.binary()), **columns})
    pq.write_table(table, path, row_group_size=group)
    return path


def rows_of(stream, cuts):
    """Entries of the stream read in parts that end at ``cuts``."""
    edges = [0, *sorted(cuts), len(stream)]
    return [entry for a, b in pairwise(edges) for entry in stream.part(a, b).entries()]


def random_cuts(n, seed=0):
    """A few places to cut ``n`` rows at."""
    return np.random.default_rng(seed).integers(0, n + 1, 4).tolist()
