"""Features of a frozen backbone, computed once and kept beside the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashnet.datasets import ImageSet, Reject
from hashnet.errors import HashnetError
from hashnet.models import HashNetwork, Preprocessing
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.checkpoint import check_identity, load_tensors, save_tensors
from hashnet.training.inputs import FeatureInputs, check_error_rate, read_pixels


def extract_features(
    network: HashNetwork,
    images: ImageSet,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    max_error_rate: float = 0.0,
    progress: Progress = NO_PROGRESS,
) -> FeatureInputs:
    """Return the features of the images at ``rows``, without those that cannot be read."""
    device = next(network.parameters()).device
    network.eval()
    parts: list[Tensor] = []
    kept: list[int] = []
    rejects: list[Reject] = []
    progress.start("features", len(rows))
    began = time.monotonic()
    for batch in read_pixels(images, rows, preprocessing):
        rejects += batch.rejects
        check_error_rate(rejects, len(rows), max_error_rate=max_error_rate)
        if batch.rows:
            with torch.inference_mode():
                x = torch.from_numpy(preprocessing.normalize(batch.pixels)).to(device)
                parts.append(network.features(x).float())
            kept += batch.rows
        rate = (len(kept) + len(rejects)) / max(time.monotonic() - began, 1e-9)
        progress.advance(len(batch.rows) + len(batch.rejects), images_per_s=rate)
    progress.finish()
    # Cloned outside inference mode, so that a head can be trained on them.
    features = (
        torch.cat(parts).clone() if parts else torch.empty((0, network.config.n_features), device=device)
    )
    if not bool(torch.isfinite(features).all()):
        row = kept[int((~torch.isfinite(features).all(dim=1)).nonzero()[0, 0])]
        raise HashnetError(
            f"the features of image {images.key(row)} are not finite; check the backbone's weights"
        )
    return FeatureInputs(features, np.asarray(kept, np.int64), rejects)


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
