"""What frozen blocks give out, computed once and kept beside the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.datasets import ImageSet, Reject
from hashnet.errors import HashnetError
from hashnet.models import HashNetwork, Preprocessing
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.checkpoint import check_identity, load_tensors, save_tensors
from hashnet.training.inputs import (
    READ_AT_ONCE,
    FeatureInputs,
    PixelBatch,
    check_error_rate,
    gather_kept,
    in_order,
    pixel_reader,
    share_of,
)
from hashnet.training.world import ALONE, Stop, World, never, together


def extract_features(
    network: HashNetwork,
    images: ImageSet,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    max_error_rate: float = 0.0,
    progress: Progress = NO_PROGRESS,
    world: World = ALONE,
    stop: Stop = never,
) -> FeatureInputs:
    """Return the features of the images at ``rows``, without those that cannot be read.

    Of several processes each computes its share, and all return all features: to the bit those that one
    process alone computes on the same hardware.
    """
    return extract(
        network.backbone,
        images,
        rows,
        preprocessing,
        max_error_rate=max_error_rate,
        progress=progress,
        world=world,
        stop=stop,
    )


def extract(
    module: nn.Module,
    images: ImageSet,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    max_error_rate: float,
    progress: Progress = NO_PROGRESS,
    world: World = ALONE,
    stop: Stop = never,
) -> FeatureInputs:
    """Return what ``module``, in evaluation mode, gives for images, as ``extract_features`` does."""
    module.eval()
    device = next(module.parameters()).device
    mine = share_of(rows, world)

    def compute() -> tuple[Tensor, list[int], list[Reject]]:
        # Made outside inference mode, so that a head can be trained on it; filled in place to be there once.
        features = torch.empty((len(mine), *_output_shape(module, preprocessing.size)), device=device)
        kept: list[int] = []
        rejects: list[Reject] = []
        began = time.monotonic()
        for batch in _batches(module, images, mine, preprocessing):
            if batch.rows:
                features[len(kept) : len(kept) + len(batch.rows)] = batch.features
            kept += batch.rows
            rejects += batch.rejects
            check_error_rate(rejects, len(rows), max_error_rate=max_error_rate)
            rate = (len(kept) + len(rejects)) / max(time.monotonic() - began, 1e-9)
            progress.advance(len(batch.rows) + len(batch.rejects), images_per_s=rate)
            if stop():
                raise KeyboardInterrupt
        features = features[: len(kept)]
        finite = torch.isfinite(features).flatten(1).all(dim=1)
        if not bool(finite.all()):
            row = kept[int((~finite).nonzero()[0, 0])]
            raise HashnetError(
                f"the features of image {images.key(row)} are not finite; check the backbone's weights"
            )
        return features, kept, rejects

    progress.start("features", len(mine))
    features, own_rows, own_rejects = together(world, compute)
    progress.finish()
    kept = gather_kept(world, own_rows, own_rejects)
    check_error_rate(kept.rejects, len(rows), max_error_rate=max_error_rate)
    return FeatureInputs(world.gather(features, kept.counts), kept.rows, kept.rejects)


class _FeatureBatch(NamedTuple):
    features: Tensor
    rows: list[int]
    rejects: list[Reject]


def _output_shape(module: nn.Module, size: int) -> tuple[int, ...]:
    device = next(module.parameters()).device
    with torch.inference_mode():
        output: Tensor = module(torch.zeros((1, 3, size, size), device=device))
    return tuple(output.shape[1:])


def _batches(
    module: nn.Module, images: ImageSet, rows: NDArray[np.int64], preprocessing: Preprocessing
) -> Iterator[_FeatureBatch]:
    device = next(module.parameters()).device
    read = pixel_reader(images, rows, preprocessing)
    starts = range(0, len(rows), READ_AT_ONCE)

    def compute(batch: PixelBatch) -> _FeatureBatch:
        with torch.inference_mode():
            x = torch.from_numpy(preprocessing.normalize(batch.pixels)).to(device)
            features = module(x).float() if len(x) else x.new_empty(0)
        return _FeatureBatch(features, batch.rows, batch.rejects)

    if device.type != "cpu":
        yield from map(compute, in_order(read, starts, workers=2))
        return
    # A thread of its own for each batch, instead of all threads for one: they never wait for one another.
    # On two busy cores that took 3.7 s of CPU for 384 images, where sharing each convolution took 16 s.
    n_threads = torch.get_num_threads()
    try:
        yield from in_order(
            lambda start: compute(read(start)),
            starts,
            workers=n_threads,
            initializer=lambda: torch.set_num_threads(1),
        )
    finally:
        torch.set_num_threads(n_threads)


def save_features(path: Path, inputs: FeatureInputs, identity: Mapping[str, Any]) -> None:
    """Keep features for a run that is resumed."""
    save_tensors(
        path,
        {"features": inputs.features, "rows": torch.from_numpy(inputs.rows)},
        {"identity": dict(identity), "rejects": [list(reject) for reject in inputs.rejects]},
    )


def load_features(path: Path, identity: Mapping[str, Any], *, device: torch.device) -> FeatureInputs:
    """Return kept features; ResumeError if they belong to other settings or data, DamagedError if damaged."""
    tensors, values = load_tensors(path)
    check_identity(values["identity"], identity, path=path)
    rejects = [Reject(int(row), str(key), str(reason)) for row, key, reason in values["rejects"]]
    return FeatureInputs(tensors["features"].to(device), tensors["rows"].numpy(), rejects)
