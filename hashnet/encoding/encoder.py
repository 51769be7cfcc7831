"""Encode images with a trained model so that a code depends on its image and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hashnet.codes import Codes, Ids, pack
from hashnet.datasets import ImageSet, Reject, check_pixels
from hashnet.datasets.decode import to_rgb
from hashnet.datasets.entries import Entry, set_entries
from hashnet.encoding.batches import DecodedBatch, batched, decode
from hashnet.encoding.pipeline import Pipeline
from hashnet.errors import UnreadableImageError
from hashnet.models import Model, load_model
from hashnet.progress import NO_PROGRESS, Progress

# The last bit of a network's output changes with the batch size and, for small batches, with the number of
# threads inside an operation: other kernels sum in another order, and a relaxed code near 0 changes its sign.
# At one batch size, filled up with zeros, and one thread an operation it does not depend on the other images
# of the batch nor on the place in it. 8 is also the fastest on CPUs: the activations stay in the cache.
CPU_BATCH = 8
GPU_BATCH = 128

Output = Literal["relaxed", "features"]
Images = Sequence[Image.Image] | NDArray[np.uint8]

_Item = TypeVar("_Item")


class EncodedRows(NamedTuple):
    """Codes of the readable rows of an image set, in the order asked for, and the rejects."""

    codes: Codes
    ids: Ids
    keys: list[str]
    rejects: list[Reject]


class Encoder:
    """A model that encodes images: equal images get equal codes, in any batch, call, process or worker.

    ``threads`` images are decoded and ``threads`` batches computed at a time, each by a single thread; the
    default is torch's number of threads. Codes of different devices may differ in a bit.
    """

    def __init__(self, model: Model, *, device: str = "cpu", threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.model = model
        self.device = torch.device(device)
        self.threads = torch.get_num_threads() if threads is None else threads
        self.batch_size = batch_size_on(device)
        self._network = model.network.to(self.device).eval()
        # Batches share one accelerator; on the CPU each thread computes its own.
        self._turn = None if self.device.type == "cpu" else Lock()

    @classmethod
    def load(cls, model_dir: str | Path, *, device: str = "cpu", threads: int | None = None) -> Encoder:
        """Return the encoder of a model directory; raise FileNotFoundError or DamagedError."""
        return cls(load_model(model_dir), device=device, threads=threads)

    @property
    def n_bits(self) -> int:
        """Length of a code in bits."""
        return self.model.n_bits

    @property
    def fingerprint(self) -> str:
        """The code space: model weights, preprocessing and n_bits."""
        return self.model.fingerprint

    def encode(self, images: Images) -> Codes:
        """Return the codes of PIL images, or of uint8 pixels ``(n, h, w)`` or ``(n, h, w, 3)``.

        Raises ValueError for NaN or infinite pixels, TypeError for any other dtype than uint8, and
        UnreadableImageError for a PIL image that cannot be decoded.
        """
        return pack(self.relaxed(images))

    def relaxed(self, images: Images) -> NDArray[np.float32]:
        """Return z ``(n, n_bits)``, whose sign is the code; raises as ``encode`` does."""
        return self._outputs(images, "relaxed", self.n_bits)

    def features(self, images: Images) -> NDArray[np.float32]:
        """Return the backbone's features ``(n, n_features)``; raises as ``encode`` does."""
        return self._outputs(images, "features", self.model.config.n_features)

    def encode_image_set(
        self,
        images: ImageSet,
        rows: NDArray[np.int64] | Sequence[int] | None = None,
        *,
        progress: Progress = NO_PROGRESS,
    ) -> EncodedRows:
        """Return the codes of ``rows`` (all, if None) of an image set, reading and computing side by side.

        ``progress`` is advanced by the images done; the caller starts and finishes the phase.
        """
        wanted = range(len(images)) if rows is None else rows
        with self.session() as session:
            batches = session.read(set_entries(images, wanted))
            return session.start(batches, meter=_Counter(progress))()

    def session(self) -> EncodeSession:
        """Return threads that encode until they are closed."""
        return EncodeSession(self)

    def compute(self, pixels: NDArray[np.uint8], output: Output = "relaxed") -> NDArray[np.float32]:
        """Return the outputs of at most ``batch_size`` images, uint8 ``(n, size, size, 3)``."""
        size = self.model.preprocessing.size
        batch = np.empty((self.batch_size, 3, size, size), dtype=np.float32)
        for place, image in zip(batch, pixels, strict=False):
            self.model.preprocessing.normalize_into(image, place)
        batch[len(pixels) :] = 0
        # Whether all is finite, as the model asks, is no question for pixels that were bytes.
        function = self._network if output == "relaxed" else self._network.features
        with self._turn or nullcontext(), torch.inference_mode():
            result: torch.Tensor = function(torch.from_numpy(batch).to(self.device))
            return result[: len(pixels)].cpu().numpy()

    def _outputs(self, images: Images, output: Output, width: int) -> NDArray[np.float32]:
        listed = as_rgb(images)

        def outputs(chunk: Sequence[Image.Image]) -> NDArray[np.float32]:
            return self.compute(np.stack([self.model.preprocessing.pixels(image) for image in chunk]), output)

        with Pipeline(self.threads) as pipeline:
            parts = pipeline.start(outputs, _chunks(listed, self.batch_size)).results()
        return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)


class Meter(Protocol):
    """Counts images that are done."""

    def advance(self, n_images: int, *, n_rejected: int = 0) -> None:
        """Count images, of which some were rejected; may be called from several threads."""


class _Counter:
    """A meter that only counts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def advance(self, n_images: int, *, n_rejected: int = 0) -> None:
        self._progress.advance(n_images)


class EncodeSession:
    """An encoder at work: what is started is encoded in its threads until the session is closed.

    Reading, decoding and the network overlap, also between one ``start`` and the next; at most
    ``2 * threads + 1`` batches are in memory.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._pipeline = Pipeline(encoder.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipeline.close()

    def read(self, entries: Iterable[Entry]) -> Iterator[Callable[[], DecodedBatch]]:
        """Yield the entries as batches; they are decoded in the thread that computes their codes."""
        for batch in batched(entries, self._encoder.batch_size):
            yield partial(decode, batch, self._encoder.model.preprocessing)

    def start(
        self,
        batches: Iterable[Callable[[], DecodedBatch]],
        *,
        meter: Meter | None = None,
        in_turn: bool = True,
    ) -> Callable[[], EncodedRows]:
        """Hand out all batches; return what waits for their codes, in the order of the batches.

        A batch has at most ``batch_size`` images and is made in the thread that encodes it. Any error but an
        unreadable image is raised here or by what is returned. Batches are taken after those of earlier calls
        that are still at it, unless not ``in_turn``.
        """

        def encode(batch: Callable[[], DecodedBatch]) -> EncodedRows:
            decoded = batch()
            codes = np.empty((0, self._encoder.n_bits // 8), dtype=np.uint8)
            if len(decoded.pixels):
                codes = pack(self._encoder.compute(decoded.pixels))
            return EncodedRows(codes, np.array(decoded.rows, dtype=np.int64), decoded.keys, decoded.rejects)

        def count(part: EncodedRows) -> None:
            if meter is not None:
                meter.advance(len(part.ids) + len(part.rejects), n_rejected=len(part.rejects))

        started = self._pipeline.start(encode, batches, done=count, in_turn=in_turn)
        return lambda: joined(started.results(), n_bytes=self._encoder.n_bits // 8)


def joined(parts: Sequence[EncodedRows], *, n_bytes: int) -> EncodedRows:
    """Return the parts as one, one behind the other."""
    return EncodedRows(
        np.concatenate([np.empty((0, n_bytes), dtype=np.uint8), *(part.codes for part in parts)]),
        np.concatenate([np.empty(0, dtype=np.int64), *(part.ids for part in parts)]),
        [key for part in parts for key in part.keys],
        [reject for part in parts for reject in part.rejects],
    )


def batch_size_on(device: str) -> int:
    """Return the one batch size that encoders on ``device`` compute with."""
    return CPU_BATCH if torch.device(device).type == "cpu" else GPU_BATCH


def as_rgb(images: Any) -> list[Image.Image]:
    """Return what ``encode`` accepts as a list of RGB images; raises as ``encode`` does."""
    if isinstance(images, np.ndarray):
        return [Image.fromarray(pixels).convert("RGB") for pixels in check_pixels(images)]
    if isinstance(images, Image.Image) or not isinstance(images, Sequence):
        raise TypeError(
            f"images must be a sequence of PIL images or a uint8 array, got {type(images).__name__}; "
            "pass one image as [image], and an image set to encode_image_set"
        )
    listed = []
    for i, image in enumerate(images):
        if not isinstance(image, Image.Image):
            raise TypeError(f"images[{i}] must be a PIL image, got {type(image).__name__}")
        try:
            listed.append(to_rgb(image))
        except (OSError, ValueError) as error:
            raise UnreadableImageError(f"images[{i}]", str(error)) from error
    return listed


def _chunks(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
