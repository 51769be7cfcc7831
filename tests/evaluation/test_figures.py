"""Figures are SVG that a page can hold: scalable, without outside resources, the same each time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from hashnet.evaluation import (
    distance_figure,
    evaluate,
    gap_figure,
    latency_figure,
    loss_figure,
    precision_at_figure,
    precision_recall_figure,
    tsne_figure,
)

RNG = np.random.default_rng(0)
LABELS = np.eye(12, dtype=bool)[RNG.integers(0, 12, 60)]
CODES = np.packbits(LABELS.repeat(2, axis=1) ^ (RNG.random((60, 24)) < 0.1), axis=1)
EVALUATION = evaluate(CODES[:10], LABELS[:10], CODES[10:], LABELS[10:], at=20)
STAGES = [{"beta": beta, "loss_relaxed": 0.5, "loss_sgn": 0.6, "gap": 0.1} for beta in (1, 64, 1e4)]

FIGURES = {
    "precision-recall": lambda: precision_recall_figure({"one": EVALUATION, "other <&>": EVALUATION}),
    "precision@N": lambda: precision_at_figure({"one": EVALUATION}),
    "loss": lambda: loss_figure(STAGES),
    "gap": lambda: gap_figure(STAGES),
    "distance": lambda: distance_figure(EVALUATION),
    "latency": lambda: latency_figure({"radius 4": [0.1, 0.2, 3.0]}),
    "t-SNE": lambda: tsne_figure(CODES, LABELS, n_points=40),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_well_formed_svg(name):
    assert ElementTree.fromstring(FIGURES[name]()).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_scales_and_takes_the_colour_of_the_page(name):
    svg = FIGURES[name]()
    root = ElementTree.fromstring(svg)
    assert (root.get("width"), root.get("height")) == (None, None)
    assert root.get("viewBox")
    assert "currentColor" in svg
    assert "#010203" not in svg


def test_the_same_input_gives_the_same_bytes():
    assert FIGURES["precision-recall"]() == FIGURES["precision-recall"]()


def test_a_seed_repeats_the_map():
    assert FIGURES["t-SNE"]() == FIGURES["t-SNE"]()


def test_ln_2_stands_in_the_loss_figure():
    assert "ln 2" in loss_figure(STAGES)


def test_settings_of_matplotlib_are_left_alone():
    before = dict(mpl.rcParams)
    FIGURES["loss"]()
    assert dict(mpl.rcParams) == before


def test_names_are_escaped():
    assert "other &lt;&amp;&gt;" in FIGURES["precision-recall"]()


def test_a_map_of_too_few_codes_is_refused():
    with pytest.raises(ValueError, match="at least 5 codes, got 4"):
        tsne_figure(CODES[:4], LABELS[:4])


def test_a_map_needs_a_label_row_for_each_code():
    with pytest.raises(ValueError, match="59 rows for 60 codes"):
        tsne_figure(CODES, LABELS[1:])


def test_the_state_before_training_is_named():
    assert ">start<" in loss_figure([{**STAGES[0], "stage": -1}, *STAGES])
    assert ">start<" not in loss_figure(STAGES)
