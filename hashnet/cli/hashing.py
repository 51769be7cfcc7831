"""What ``hashnet hash`` does: images to codes in memory, in a file, or in an index."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hashnet.codes import Codes, Ids, unpack
from hashnet.datasets import FileImages, ImageSet, Reject, open_images
from hashnet.datasets.decode import SUFFIXES
from hashnet.encoding import Encoder, build_index, encode_to_store
from hashnet.encoding.building import check_absent
from hashnet.errors import HashnetError
from hashnet.files import write_atomically
from hashnet.index import Index
from hashnet.progress import NO_PROGRESS, Progress


@dataclass(frozen=True)
class Hashed:
    """Codes of the readable images with row numbers and keys (paths as the source names them); the rest."""

    codes: Codes
    ids: Ids
    keys: Sequence[str]
    rejects: Sequence[Reject]
    n_bits: int
    fingerprint: str

    @property
    def n_codes(self) -> int:
        """How many images were hashed."""
        return len(self.codes)


def open_to_hash(path: str, *, image_root: Path | None = None) -> ImageSet:
    """Return the images that ``path`` names, also where it is a single image file."""
    file = Path(path)
    if path != "digits" and file.is_file() and file.suffix.lower() in SUFFIXES:
        return FileImages(file.parent, [file.name], name=file.name, source=str(file.parent))
    return open_images(path, image_root=image_root)


def hash_in_memory(
    model: Path,
    images: ImageSet,
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> Hashed:
    """Return the codes of all readable images; HashnetError where there is none."""
    _keep_freed_memory()
    encoder = Encoder.load(model, device=device, threads=threads)
    progress.start("hash", len(images))
    found = encoder.encode_image_set(images, progress=progress)
    progress.finish()
    done = Hashed(*found, n_bits=encoder.n_bits, fingerprint=encoder.fingerprint)
    _demand_some(done, images)
    return done


def hash_to_index(
    model: Path,
    images: ImageSet,
    output: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> Hashed:
    """Write an index of all readable images and return what is in it.

    Until it is whole the codes lie in a store beside it, from which the same call goes on after an
    interruption. Raises FileExistsError where ``output`` exists.
    """
    check_absent(output)
    _keep_freed_memory()
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = output.with_name(f".{output.name}.codes")
    store = encode_to_store(
        model,
        images,
        None,
        staging,
        max_error_rate=1.0,
        threads=threads,
        device=device,
        progress=progress,
    )
    done = Hashed(
        store.codes(),
        store.ids(),
        store.keys(),
        [Reject(one.row, one.key, one.reason) for one in store.rejects],
        n_bits=store.n_bits,
        fingerprint=store.fingerprint,
    )
    if done.n_codes:
        build_index(store, output, progress=progress)
    shutil.rmtree(staging)
    _demand_some(done, images)
    return done


def index_of(hashed: Hashed) -> Index:
    """Return an index of the codes in memory."""
    index = Index.in_memory(n_bits=hashed.n_bits, fingerprint=hashed.fingerprint)
    index.add(hashed.codes, ids=hashed.ids, keys=hashed.keys)
    return index


def write_codes(hashed: Hashed, output: Path) -> tuple[Path, Path]:
    """Write packed codes as .npy and the row, path and code of each as .csv beside; returns both paths.

    The codes come last, so that their paths are there when they are.
    """
    table = check_output(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "path", "code"))
    written = as_written(hashed.codes, "hex")
    writer.writerows(zip(range(hashed.n_codes), hashed.keys, written, strict=True))
    array = io.BytesIO()
    np.save(array, hashed.codes, allow_pickle=False)
    write_atomically(table, text.getvalue().encode())
    write_atomically(output, array.getvalue())
    return output, table


def check_output(output: Path) -> Path:
    """Return the path of the table beside ``output``; raise unless both can be written."""
    if output.suffix != ".npy":
        raise ValueError(f"--output must be an .npy file, got {output}; an index is written with --index")
    table = output.with_suffix(".csv")
    for path in (output, table):
        if path.exists():
            raise FileExistsError(f"{path} exists; choose another --output")
    return table


def as_written(codes: Codes, form: Literal["hex", "bits"]) -> list[str]:
    """Return each code as hex digits, two a byte, or as bits, the first dimension first."""
    if form == "hex":
        return [code.tobytes().hex() for code in codes]
    return ["".join(map(str, bits)) for bits in unpack(codes).astype(np.uint8).tolist()]


def _keep_freed_memory() -> None:
    from hashnet.allocator import keep_freed_memory

    keep_freed_memory()


def _demand_some(hashed: Hashed, images: ImageSet) -> None:
    if not hashed.n_codes:
        first = f"; {hashed.rejects[0].key}: {hashed.rejects[0].reason}" if hashed.rejects else ""
        raise HashnetError(f"none of {len(images):,} images of {images.source} can be read{first}")
