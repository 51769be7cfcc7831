"""The features that methods are compared on: extracted once, kept part by part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashnet.comparison.sides import Sides
from hashnet.datasets import ImageSet, Reject
from hashnet.errors import ErrorRateError, HashnetError, UnreadableImageError
from hashnet.models import NetworkConfig, Preprocessing, build_network
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training import TrainConfig, extract_features
from hashnet.training.features import load_features, save_features
from hashnet.training.inputs import READ_AT_ONCE

# Images of a part: what a kill can cost. Whole batches of the backbone, so that parts change no feature.
PART = 16 * READ_AT_ONCE

# Grows when kept features or runs mean something else than before.
LAYOUT = 2


@dataclass(frozen=True)
class Features:
    """Features of the images that could be read, with labels, and where each side's rows are among them.

    ``values`` are float32 ``(n, n_features)``, ``labels`` multi-hot ``(n, n_classes)`` or None; ``train``,
    ``database`` and ``query`` are places among these n, int64, in the order of the sides. ``mark`` is a
    digest of the values. ``rows`` are those of the image set, where it is known.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.uint8] | None
    train: NDArray[np.int64]
    database: NDArray[np.int64]
    query: NDArray[np.int64]
    mark: str
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rejects: tuple[Reject, ...] = ()

    def side_labels(self, side: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the labels of the items at these places; ValueError where there are none."""
        if self.labels is None:
            raise ValueError("this needs labels, and the images have none")
        return self.labels[side]

    @property
    def rows_mark(self) -> str:
        """A digest of the three sides."""
        places = b"".join(side.tobytes() for side in (self.train, self.database, self.query))
        return hashlib.sha256(places).hexdigest()[:16]


def features_of(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    images: ImageSet,
    sides: Sides,
    *,
    rejects: tuple[Reject, ...] = (),
) -> Features:
    """Return features of the images at ``rows`` (ascending) as the sides use them.

    Images of the sides that are not among ``rows`` could not be read and are left out. Raises HashnetError
    where a side is left empty.
    """
    places = {name: _places(rows, getattr(sides, name)) for name in ("train", "database", "query")}
    for name, found in places.items():
        if not len(found):
            raise HashnetError(f"no image of the {name} part could be read; check the images")
    return Features(
        values,
        None if images.labels is None else images.labels[rows],
        mark=hashlib.sha256(values.tobytes()).hexdigest()[:16],
        rows=rows,
        rejects=rejects,
        **places,
    )


def _places(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    at = np.searchsorted(rows, wanted)
    at[at == len(rows)] = 0
    found: NDArray[np.int64] = at[rows[at] == wanted]
    return found


def feature_identity(images: ImageSet, config: TrainConfig, sides: Sides) -> dict[str, Any]:
    """Return, as JSON values, all that features, sides and labels depend on; ``config`` is resolved."""
    labels = None if images.labels is None else np.ascontiguousarray(images.labels)
    identity: dict[str, Any] = {
        "layout": LAYOUT,
        "data": images.version(),
        "labels": None if labels is None else f"sha256:{hashlib.sha256(labels.tobytes()).hexdigest()}",
        "split": sides.said,
        "backbone": config.backbone,
        "weights": None if config.weights is None else Path(str(config.weights)).name,
        "same_padding": config.same_padding,
        "image_size": config.image_size,
    }
    if sides.recipe is not None:
        # Where the data lie says nothing of what they are.
        identity["protocol"] = {name: value for name, value in sides.recipe.items() if name != "data"}
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
    sides: Sides,
    cache: Path,
    *,
    identity: Mapping[str, Any],
    seed: int,
    max_error_rate: float,
    progress: Progress = NO_PROGRESS,
) -> Features:
    """Return the features of all images of the sides, from ``cache`` as far as they are there.

    Parts of 1,024 images are written when they are done, so that a rerun goes on where it was killed.
    ``seed`` is that of a backbone without weights. Raises ErrorRateError for more unreadable images than
    ``max_error_rate`` of all.
    """
    rows = sides.rows()
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
    values = torch.cat([inputs.features.cpu() for inputs in found]).numpy()
    return features_of(
        values, np.concatenate([inputs.rows for inputs in found]), images, sides, rejects=rejects
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
