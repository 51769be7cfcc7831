"""Encode images with a trained model so that a code depends on its image and on nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hashnet.codes import Codes, Ids, pack
from hashnet.datasets import ImageSet, Reject, check_pixels, read_batch
from hashnet.datasets.decode import to_rgb
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
_Result = TypeVar("_Result")


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
        wanted = range(len(images)) if rows is None else [int(row) for row in rows]
        n_bytes = self.n_bits // 8
        result = EncodedRows(np.empty((0, n_bytes), np.uint8), np.empty(0, np.int64), [], [])
        parts: list[Codes] = []
        ids: list[int] = []

        def encode_chunk(chunk: Sequence[int]) -> tuple[Codes, list[int], list[Reject]]:
            batch = read_batch(images, chunk)
            return pack(self._compute(batch.images, "relaxed")), batch.rows, batch.rejects

        for codes, readable, rejects in self._map(encode_chunk, _chunks(wanted, self.batch_size)):
            parts.append(codes)
            ids += readable
            result.keys.extend(images.key(row) for row in readable)
            result.rejects.extend(rejects)
            progress.advance(len(codes) + len(rejects))
        codes = np.concatenate(parts) if parts else result.codes
        return result._replace(codes=codes, ids=np.array(ids, dtype=np.int64))

    def _outputs(self, images: Images, output: Output, width: int) -> NDArray[np.float32]:
        listed = as_rgb(images)
        parts = list(self._map(lambda chunk: self._compute(chunk, output), _chunks(listed, self.batch_size)))
        return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)

    def _compute(self, images: Sequence[Image.Image], output: Output) -> NDArray[np.float32]:
        """Return the outputs of at most ``batch_size`` images."""
        size = self.model.preprocessing.size
        batch = np.zeros((self.batch_size, 3, size, size), dtype=np.float32)
        for place, image in zip(batch, images, strict=False):
            place[:] = self.model.preprocessing(image)
        function = self.model.relaxed if output == "relaxed" else self.model.features
        if self._turn is None:
            return function(torch.from_numpy(batch))[: len(images)].numpy()
        with self._turn:
            return function(torch.from_numpy(batch).to(self.device))[: len(images)].cpu().numpy()

    def _map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Yield ``function`` of each item in order, a few ahead, in threads that compute alone."""

        def alone(item: _Item) -> _Result:
            # The setting belongs to the thread, and the pool's threads are new.
            if torch.get_num_threads() != 1:
                torch.set_num_threads(1)
            return function(item)

        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="encode")
        waiting: deque[Future[_Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(alone, item))
                if len(waiting) > 2 * self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            # A part of the setting (that of MKL) belongs to the process.
            torch.set_num_threads(before)


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
