"""Figures of a training as SVG: the loss, and the gap between relaxed and binary codes, over the stages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hashnet.evaluation.drawing import INK, add_legend, look, looks, to_svg

LN2 = float(np.log(2.0))

Stages = Sequence[Mapping[str, Any]]
"""The stage metrics of a training, as metrics.json has them."""


def loss_figure(stages: Stages, *, silent: float | None = LN2) -> str:
    """Return the loss on relaxed and on sgn codes over the stages.

    ``stages`` have ``beta``, ``loss_relaxed`` and ``loss_sgn``. ``silent`` is the loss of codes that say
    nothing, drawn as a line: ln 2 for HashNet's; None for methods whose loss has no such value.
    """

    def draw(axes: Any) -> None:
        x = np.arange(len(stages))
        for i, (key, label) in enumerate((("loss_relaxed", "relaxed codes"), ("loss_sgn", "sgn codes"))):
            axes.plot(x, [stage[key] for stage in stages], label=label, markersize=4, **look(i, marker=True))
        if silent is not None:
            axes.axhline(silent, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
            axes.annotate(
                "ln 2" if silent == LN2 else f"{silent:.3g}",
                (1, silent),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                color=INK,
            )
        _stage_axis(axes, stages)
        top = max([silent or 0, *(stage[key] for stage in stages for key in ("loss_relaxed", "loss_sgn"))])
        axes.set(ylabel="loss", ylim=(0, 1.08 * top))
        add_legend(axes, 2)

    return to_svg(draw, "Loss on relaxed and on sgn codes over the stages")


def gap_figure(stages: Stages | Mapping[str, Stages]) -> str:
    """Return the mean of |tanh(beta z) - sgn z| over the stages, of one training or of several by name.

    ``stages`` have ``beta`` and ``gap``. Several trainings are drawn over the number of the stage, for each
    has a beta of its own.
    """
    named = stages if isinstance(stages, Mapping) else {"": stages}
    if not named:
        raise ValueError("a figure of the gap needs the stages of at least one training, got none")

    def draw(axes: Any) -> None:
        for name, i in looks(named).items():
            gaps = [stage["gap"] for stage in named[name]]
            axes.plot(np.arange(len(gaps)), gaps, label=name, markersize=4, **look(i, marker=True))
        if len(named) == 1:
            _stage_axis(axes, next(iter(named.values())))
        else:
            axes.set_xlabel("stage of the continuation")
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(ylabel="mean |tanh(βz) − sgn z|")
        axes.set_ylim(bottom=0)
        add_legend(axes, len(named))

    return to_svg(draw, "Quantisation gap over the stages")


def _stage_axis(axes: Any, stages: Stages) -> None:
    labels = [f"{stage['beta']:.3g}" if stage["beta"] < 1000 else f"{stage['beta']:.0e}" for stage in stages]
    labels = [re.sub(r"e\+0*", "e", label) for label in labels]
    if len({stage["beta"] for stage in stages}) == 1:
        # Without continuation there are only the times at which was measured.
        axes.set_xlabel("measured in training")
        return
    # Stage -1 is what training began with.
    if stages and stages[0].get("stage") == -1:
        labels[0] = "start"
    axes.set_xticks(np.arange(len(stages)), labels)
    axes.set_xlabel("β at the end of each stage")
