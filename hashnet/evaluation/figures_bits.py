"""One figure of merit against the length of the code, a line for each method, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hashnet.evaluation.drawing import LEGEND_BESIDE, add_legend, look, looks, to_svg

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return the mean of a few runs and the ends of its Student-t confidence interval: (mean, low, high).

    One run has no interval: all three are its value.

    With 3 seeds the interval is 2.5 standard deviations to either side: wide, because 3 is few.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"values must be at least one finite number, got {values!r}")
    mean = float(array.mean())
    if len(array) == 1:
        return mean, mean, mean
    from scipy.stats import t

    half = float(t.ppf((1 + confidence) / 2, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)))
    return mean, mean - half, mean + half


def bits_figure(
    values: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    figure: str = "MAP",
    intervals: Mapping[str, Mapping[int, tuple[float, float]]] | None = None,
    references: Mapping[str, float] | None = None,
) -> str:
    """Return ``figure`` (MAP@1000, P@H≤2, ...) over bits: means over runs with their 95% intervals.

    ``values`` maps a method to n_bits to the value of each run (seed). ``intervals`` gives (low, high) in the
    same way where they are known otherwise, as from a bootstrap over queries. ``references`` are horizontal
    lines, such as a figure reached without hashing. The legend has the best method on top.
    """
    if not values or not all(values.values()):
        raise ValueError("a figure over bits needs values of at least one length for each method")
    all_bits = sorted({bits for by_bits in values.values() for bits in by_bits})
    numbers = looks(values)
    # Bars of methods of equal merit would hide each other.
    step = 0.012 * (all_bits[-1] - all_bits[0])
    given = intervals or {}
    order = sorted(values, key=lambda name: -float(np.mean(values[name][max(values[name])])))

    def draw(axes: Any) -> None:
        for place, name in enumerate(order):
            by_bits = values[name]
            bits = sorted(by_bits)
            found = [mean_interval(by_bits[n]) for n in bits]
            ends = [given.get(name, {}).get(n, one[1:]) for n, one in zip(bits, found, strict=True)]
            x = np.array(bits, dtype=np.float64) + step * (place - (len(order) - 1) / 2) / max(
                1, len(order) / 4
            )
            style = look(numbers[name], marker=True)
            axes.plot(x, [one[0] for one in found], label=name, markersize=5, zorder=3, **style)
            wide = [(at, *end) for at, end in zip(x, ends, strict=True) if end[1] > end[0]]
            if wide:
                at, low, high = np.array(wide).T
                axes.errorbar(
                    at,
                    (low + high) / 2,
                    yerr=(high - low) / 2,
                    color=style["color"],
                    linestyle="none",
                    capsize=2.5,
                    elinewidth=1,
                    alpha=0.8,
                )
        for label, height in (references or {}).items():
            axes.axhline(height, color="#7A7A7A", linewidth=1.2, linestyle=(0, (6, 3)), label=label)
        axes.set_xticks(all_bits, [str(bits) for bits in all_bits])
        axes.set(xlabel="bits of a code", ylabel=figure)
        if min(value for of_bits in values.values() for runs in of_bits.values() for value in runs) >= 0:
            # Intervals of few runs may reach below what the figure itself can be.
            axes.set_ylim(bottom=0)
        add_legend(axes, len(order) + len(references or {}))

    n_entries = len(values) + len(references or {})
    width, height = (7.0, max(3.4, 0.24 * n_entries + 0.6)) if n_entries > LEGEND_BESIDE else (5.6, 3.4)
    return to_svg(draw, f"{figure} over the bits of a code", width=width, height=height)
