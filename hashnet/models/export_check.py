"""Whether an exported graph gives the codes of the model it was made from, bit by bit."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashnet.codes import Codes, pack, unpack
from hashnet.models.export import CODES, INPUT, RELAXED

NOISE = 1e-5
"""Below this |z| the sign is at the mercy of the order in which a runtime sums."""

BATCH = 32

Graph = Callable[[NDArray[np.uint8]], tuple[Codes, NDArray[np.float32]]]
"""Pixels uint8 ``(n, size, size, 3)`` to packed codes and z."""


@dataclass(frozen=True)
class ExportCheck:
    """What a comparison of an exported graph with its model found, over ``n_images`` images.

    ``differing_bits`` lie in ``differing_images``; ``noise_bits`` of them have |z| < ``NOISE`` in the model.
    ``near_zero_images`` counts all images with such a bit, whether it differs or not: their share says how
    often another image may get a code that differs in a bit. ``max_deviation`` is the largest |z - z of the
    model|.
    """

    runtime: str
    n_images: int
    n_bits: int
    differing_bits: int
    differing_images: int
    noise_bits: int
    near_zero_images: int
    max_deviation: float

    @property
    def identical(self) -> bool:
        """Whether all codes are the model's."""
        return self.differing_bits == 0

    def to_json(self) -> dict[str, Any]:
        """Return a dict that ``json.dumps`` takes."""
        return {**asdict(self), "identical": self.identical}


def onnx_graph(file: bytes, *, threads: int = 1) -> Graph:
    """Return the graph of an ONNX file on onnxruntime's CPU provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[np.uint8]) -> tuple[Codes, NDArray[np.float32]]:
        codes, z = session.run([CODES, RELAXED], {INPUT: pixels})
        return codes, z

    return run


def torch_graph(file: bytes) -> Graph:
    """Return the graph of a .pt2 file on this torch."""
    graph = torch.export.load(io.BytesIO(file)).module()

    def run(pixels: NDArray[np.uint8]) -> tuple[Codes, NDArray[np.float32]]:
        with torch.inference_mode():
            codes, z = graph(torch.from_numpy(pixels))
        return codes.numpy(), z.numpy()

    return run


def check_graph(
    graph: Graph, pixels: NDArray[np.uint8], z: NDArray[np.float32], *, runtime: str
) -> ExportCheck:
    """Compare a graph with its model, whose z ``(n, n_bits)`` of ``pixels`` is given.

    The first image goes alone, then come batches of 32 and a last, smaller one, so that a graph which fixed
    its batch size fails. Raises ValueError for no images.
    """
    if not len(pixels) or len(pixels) != len(z):
        raise ValueError(
            f"the check needs images, and z of each, got {len(pixels)} images and {len(z)} rows of z"
        )
    starts = [0, *range(1, len(pixels), BATCH), len(pixels)]
    parts = [graph(pixels[first:last]) for first, last in pairwise(starts)]
    codes = np.concatenate([part[0] for part in parts])
    other = np.concatenate([part[1] for part in parts])
    if codes.shape != (len(z), z.shape[1] // 8) or codes.dtype != np.uint8 or other.shape != z.shape:
        raise ValueError(
            f"the graph gives codes {codes.dtype} {codes.shape} and z {other.shape} where "
            f"uint8 {(len(z), z.shape[1] // 8)} and {z.shape} are wanted"
        )
    differs = unpack(codes) != unpack(pack(z))
    near = np.abs(z) < NOISE
    return ExportCheck(
        runtime=runtime,
        n_images=len(z),
        n_bits=z.shape[1],
        differing_bits=int(differs.sum()),
        differing_images=int(differs.any(axis=1).sum()),
        noise_bits=int((differs & near).sum()),
        near_zero_images=int(near.any(axis=1).sum()),
        max_deviation=float(np.abs(other - z).max()),
    )
