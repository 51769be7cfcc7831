"""Find out what a user's ``--data`` is, and open it."""

from __future__ import annotations

from pathlib import Path

from hashnet.datasets.decode import SUFFIXES
from hashnet.datasets.digits import load_digits
from hashnet.datasets.folder import open_folder
from hashnet.datasets.images import ImageSet
from hashnet.datasets.list_file import open_list
from hashnet.datasets.pack import ImagePack

_LISTS = (".csv", ".tsv", ".txt", ".lst", ".list")
_WANTED = (
    "data is the word digits, an image folder (a class per sub-folder, or flat), a list file "
    "(.csv, .txt, .lst) or an image pack (.npz)"
)


def open_images(data: str | Path, *, image_root: str | Path | None = None) -> ImageSet:
    """Return the image set that ``data`` names: ``"digits"``, a folder, a list file or an image pack.

    ``image_root`` is where the relative paths of a list file begin, by default its own folder. A folder
    called digits is opened as ``./digits``. Raises FileNotFoundError, ValueError or DamagedError.
    """
    if image_root is not None and not Path(image_root).is_dir():
        raise FileNotFoundError(
            f"image_root {image_root} is not a folder; give the one the list's paths begin in"
        )
    if data == "digits":
        return load_digits()
    path = Path(data)
    if path.is_dir():
        return open_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {_WANTED}")
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file; {_WANTED}")
    if suffix == ".npz":
        return ImagePack(path)
    if suffix in _LISTS:
        return open_list(path, image_root=None if image_root is None else Path(image_root))
    if suffix in SUFFIXES:
        raise ValueError(
            f"{path} is a single image; give the folder it lies in, or a list file that names it"
        )
    raise ValueError(f"{path} ends in {suffix or 'nothing'!r}, which is no kind of data; {_WANTED}")
