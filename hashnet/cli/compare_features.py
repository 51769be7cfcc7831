"""The features that ``hashnet compare`` measures methods on: extracted once, kept part by part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashnet.datasets import ImageSet, Reject, split
from hashnet.errors import ErrorRateError, HashnetError, UnreadableImageError
from hashnet.models import NetworkConfig, Preprocessing, build_network
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training import TrainConfig, extract_features
from hashnet.training.features import load_features, save_features

# Images of a part: what a kill can cost.
PART = 1024


@dataclass(frozen=True)
class FeatureTable:
    """Features (float32, n_features columns) of the database, then of the queries, and where they come from.

    ``rows`` are those of the image set, ``n_database`` how many of them are the database; ``labels`` are
    multi-hot or None.
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    labels: NDArray[np.uint8] | None
    n_database: int
    rejects: tuple[Reject, ...]

    @property
    def database(self) -> NDArray[np.float32]:
        """Features of the database, on which methods are trained."""
        return self.features[: self.n_database]

    @property
    def query(self) -> NDArray[np.float32]:
        """Features of the queries, which no method sees before it is measured."""
        return self.features[self.n_database :]

    @property
    def database_labels(self) -> NDArray[np.uint8] | None:
        """Labels of the database."""
        return None if self.labels is None else self.labels[: self.n_database]

    @property
    def query_labels(self) -> NDArray[np.uint8] | None:
        """Labels of the queries."""
        return None if self.labels is None else self.labels[self.n_database :]


def feature_identity(images: ImageSet, config: TrainConfig, *, seed: int) -> dict[str, Any]:
    """Return, as JSON values, all that features, split and labels depend on; ``config`` is resolved."""
    labels = None if images.labels is None else np.ascontiguousarray(images.labels)
    identity: dict[str, Any] = {
        "data": images.version(),
        "labels": None if labels is None else f"sha256:{hashlib.sha256(labels.tobytes()).hexdigest()}",
        "split": "the source's own" if images.splits is not None else f"one of five a query, seed {seed}",
        "backbone": config.backbone,
        "weights": None if config.weights is None else Path(str(config.weights)).name,
        "same_padding": config.same_padding,
        "image_size": config.image_size,
    }
    if config.weights not in (None, "torchvision"):
        path = Path(str(config.weights))
        if not path.is_file():
            raise FileNotFoundError(f"weights file {path} does not exist; give a .safetensors or .pth file")
        with path.open("rb") as file:
            identity["weights_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return identity


def extract(
    images: ImageSet,
    config: TrainConfig,
    cache: Path,
    *,
    identity: Mapping[str, Any],
    seed: int,
    max_error_rate: float,
    progress: Progress = NO_PROGRESS,
) -> FeatureTable:
    """Return the features of database and queries, from ``cache`` as far as they are there.

    Parts of 1,024 images are written when they are done, so that a rerun goes on where it was killed. Raises
    ErrorRateError for more unreadable images than ``max_error_rate`` of all.
    """
    parts = split(images, seed=seed)
    rows = np.concatenate([parts.database, parts.query])
    if not len(parts.query) or not len(parts.database):
        raise ValueError(
            f"{images.source} splits into {len(parts.database)} database images and {len(parts.query)} "
            "queries; both sides need at least one"
        )
    cache.mkdir(parents=True, exist_ok=True)
    network = None
    preprocessing = Preprocessing(config.image_size or 0, config.image_size or 0)
    found = []
    progress.start("features", len(rows))
    for number, first in enumerate(range(0, len(rows), PART)):
        chosen = rows[first : first + PART]
        path = cache / f"part-{number:05d}.safetensors"
        if path.exists():
            inputs = load_features(path, identity, device=torch.device("cpu"))
            progress.advance(len(chosen))
        else:
            network = network or _network(config, seed=seed)
            inputs = extract_features(
                network,
                images,
                chosen,
                preprocessing,
                max_error_rate=1.0,
                progress=_Steps(progress),
            )
            save_features(path, inputs, identity)
        found.append(inputs)
    progress.finish()
    rejects = tuple(reject for inputs in found for reject in inputs.rejects)
    if len(rejects) > max_error_rate * len(rows):
        raise ErrorRateError(
            f"{len(rejects):,} of {len(rows):,} images cannot be read, more than {max_error_rate:.1%}; "
            f"{rejects[0].key}: {rejects[0].reason}; repair them, or raise --max-error-rate"
        )
    kept = np.concatenate([inputs.rows for inputs in found])
    n_database = int(np.isin(kept, parts.database).sum())
    if not 0 < n_database < len(kept):
        raise HashnetError("no readable image is left on one side of the split; check the images")
    return FeatureTable(
        torch.cat([inputs.features for inputs in found]).numpy(),
        kept,
        None if images.labels is None else images.labels[kept],
        n_database,
        rejects,
    )


def resolve(images: ImageSet, config: TrainConfig) -> TrainConfig:
    """Return the settings with the image size that training would choose for these images."""
    for row in range(len(images)):
        try:
            side = min(images.load(row).size)
        except UnreadableImageError:
            continue
        return config.resolved(image_side=side, n_images=len(images))
    raise HashnetError(f"none of the {len(images):,} images of {images.source} can be read; check the paths")


def _network(config: TrainConfig, *, seed: int) -> Any:
    architecture = NetworkConfig(config.backbone, 8, same_padding=config.same_padding)
    generator = torch.Generator().manual_seed(seed)
    network = build_network(architecture, weights=config.weights, generator=generator)
    device = "cuda" if config.device == "auto" and torch.cuda.is_available() else config.device
    return network.to("cpu" if device == "auto" else device)


class _Steps:
    """Progress of one part as steps of the phase that is open."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, what: str, total: int | None) -> None:
        """Stay in the phase."""

    def advance(self, done: int = 1, **figures: float) -> None:
        """Count images."""
        self._progress.advance(done, **figures)

    def finish(self) -> None:
        """Stay in the phase."""
