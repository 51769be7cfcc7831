"""Maps of codes by t-SNE, coloured by class, of one method or of several side by side, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes, unpack
from hashnet.evaluation.drawing import COLOURS, MARKERS, to_svg

SHOWN_CLASSES = 16
"""As many as colour and marker together tell apart at a glance."""

LEAST = 5


def tsne_figure(
    codes: Codes | Mapping[str, Codes],
    labels: NDArray[Any],
    *,
    classes: Sequence[str] = (),
    n_points: int = 1000,
    seed: int = 0,
    others: bool = True,
) -> str:
    """Return a t-SNE map of up to ``n_points`` codes by Hamming distance, coloured by first label.

    A mapping from names to codes of the same items gives one map for each, side by side, of the same points
    in the same colours. ``labels`` are multi-hot. More than 16 classes are told apart only for the 16 most
    frequent; the rest is grey or, without ``others``, left out of the map, which is better for many small
    classes. About 3 seconds for a map of 1000 codes.
    """
    named = codes if isinstance(codes, Mapping) else {"": codes}
    if not named:
        raise ValueError("a map needs codes of at least one method, got none")
    for one in named.values():
        if len(one) < LEAST:
            raise ValueError(f"t-SNE needs at least {LEAST} codes, got {len(one)}")
        if len(labels) != len(one):
            raise ValueError(f"labels has {len(labels)} rows for {len(one)} codes; give each code one row")
    order = np.random.default_rng(seed).permutation(len(labels))
    first = _first_label(labels)
    if not others:
        kept = np.isin(first, _frequent(first, labels.shape[1]))
        order = order[kept[order]] if np.count_nonzero(kept) >= LEAST else order
    rows = order[:n_points]
    places = [_embed(one[rows], seed=seed) for one in named.values()]
    first = first[rows]
    shown = _frequent(first, labels.shape[1])

    def draw(*panels: Any) -> None:
        for axes, name, points in zip(panels, named, places, strict=True):
            _scatter(axes, points, first, shown, classes)
            if name:
                axes.set_title(name, fontsize=11)
        panels[-1].legend(
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            fontsize=9,
            handletextpad=0.2,
            markerscale=1.4,
        )

    width = 5.6 + 4.2 * (len(named) - 1)
    title = "t-SNE map of the codes" if len(named) == 1 else f"t-SNE maps of the codes of {', '.join(named)}"
    return to_svg(draw, title, height=4.2, width=width, panels=len(named), grid=False)


def _first_label(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first label of each item, -1 for none."""
    return np.where(labels.any(axis=1), labels.argmax(axis=1), -1)


def _frequent(first: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return the classes that are told apart, ascending."""
    counts = np.bincount(first[first >= 0], minlength=n_classes)
    return np.sort(np.argsort(-counts, kind="stable")[: min(SHOWN_CLASSES, np.count_nonzero(counts))])


def _embed(codes: Codes, *, seed: int) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    bits = unpack(np.ascontiguousarray(codes)).astype(np.float32)
    ones = bits.sum(axis=1)
    distances = np.maximum(ones[:, None] + ones[None, :] - 2 * bits @ bits.T, 0)
    np.fill_diagonal(distances, 0)
    # On so few points threads of OpenMP and BLAS mostly wait for each other: five times on a busy machine.
    with threadpool_limits(1):
        places: NDArray[np.float32] = TSNE(
            metric="precomputed", init="random", perplexity=min(30, (len(codes) - 1) / 3), random_state=seed
        ).fit_transform(distances)
    return places


def _scatter(
    axes: Any,
    places: NDArray[np.float32],
    first: NDArray[np.int64],
    shown: NDArray[np.int64],
    classes: Sequence[str],
) -> None:
    others = ~np.isin(first, shown)
    if others.any():
        axes.scatter(*places[others].T, s=6, color="#9A9A9A", linewidths=0, label="others")
    for i, label in enumerate(shown):
        name = str(classes[label]) if label < len(classes) else str(label)
        marker = MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]
        points = places[first == label]
        axes.scatter(
            *points.T, s=14, color=COLOURS[i % len(COLOURS)], marker=marker, linewidths=0, label=name
        )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
