"""Image sets (digits, folders, lists, packs, arrays), protocols to split them by, and streams of any size."""

from hashnet.datasets.arrays import ArrayImages, check_pixels
from hashnet.datasets.decode import decode_image, load_image
from hashnet.datasets.digits import load_digits
from hashnet.datasets.entries import Entry, ImageStream
from hashnet.datasets.files import FileImages
from hashnet.datasets.folder import open_folder
from hashnet.datasets.images import QUERY_SPLIT, TRAIN_SPLIT, ImageSet, Split
from hashnet.datasets.label_lists import LabelLists, open_label_lists
from hashnet.datasets.labels import check_multi_hot, one_hot
from hashnet.datasets.list_file import open_list
from hashnet.datasets.mosaic import MosaicImages
from hashnet.datasets.opening import open_images
from hashnet.datasets.opening_streams import open_source
from hashnet.datasets.pack import ImagePack
from hashnet.datasets.protocol import Protocol, ProtocolData
from hashnet.datasets.protocols import PROTOCOLS, open_protocol
from hashnet.datasets.reading import Batch, Reject, read_batch
from hashnet.datasets.splitting import split

__all__ = [
    "PROTOCOLS",
    "QUERY_SPLIT",
    "TRAIN_SPLIT",
    "ArrayImages",
    "Batch",
    "Entry",
    "FileImages",
    "ImagePack",
    "ImageSet",
    "ImageStream",
    "LabelLists",
    "MosaicImages",
    "Protocol",
    "ProtocolData",
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
    "open_label_lists",
    "open_list",
    "open_protocol",
    "open_source",
    "read_batch",
    "split",
]
