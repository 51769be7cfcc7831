"""Image sets: digits, folders, list files, packs and arrays behind one interface, and how they are split."""

from hashnet.datasets.arrays import ArrayImages, check_pixels
from hashnet.datasets.decode import decode_image, load_image
from hashnet.datasets.digits import load_digits
from hashnet.datasets.files import FileImages
from hashnet.datasets.folder import open_folder
from hashnet.datasets.images import QUERY_SPLIT, TRAIN_SPLIT, ImageSet, Split
from hashnet.datasets.labels import check_multi_hot, one_hot
from hashnet.datasets.list_file import open_list
from hashnet.datasets.opening import open_images
from hashnet.datasets.pack import ImagePack
from hashnet.datasets.reading import Batch, Reject, read_batch
from hashnet.datasets.splitting import split

__all__ = [
    "QUERY_SPLIT",
    "TRAIN_SPLIT",
    "ArrayImages",
    "Batch",
    "FileImages",
    "ImagePack",
    "ImageSet",
    "Reject",
    "Split",
    "check_multi_hot",
    "check_pixels",
    "decode_image",
    "load_digits",
    "load_image",
    "one_hot",
    "open_folder",
    "open_images",
    "open_list",
    "read_batch",
    "split",
]
