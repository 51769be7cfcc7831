"""Figures are SVG that a page can hold: scalable, without outside resources, the same each time."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from hashnet.evaluation import (
    bits_figure,
    distance_figure,
    evaluate,
    gap_figure,
    latency_figure,
    loss_figure,
    mean_interval,
    precision_at_figure,
    precision_recall_figure,
    tsne_figure,
)
from hashnet.evaluation.drawing import look, looks

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


VALUES = {
    "HashNet": {16: [0.30, 0.32, 0.31], 32: [0.41, 0.40, 0.42]},
    "LSH": {16: [0.05], 32: [0.08]},
}


def test_figures_over_bits_name_methods_bits_and_references():
    svg = bits_figure(VALUES, figure="P@H≤2", references={"no hashing": 0.27})
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert [
        name for name in ("HashNet", "LSH", "P@H≤2", ">16<", ">32<", "no hashing") if name not in svg
    ] == []


def test_the_best_method_is_first_in_the_legend():
    svg = bits_figure(dict(reversed(VALUES.items())))
    assert svg.index(">HashNet<") < svg.index(">LSH<")


def test_only_repeated_runs_have_an_interval():
    means = {bits: [sum(runs) / len(runs)] for bits, runs in VALUES["HashNet"].items()}
    once, thrice = (bits_figure({"HashNet": one}).count("<path") for one in (means, VALUES["HashNet"]))
    assert once < thrice


def test_intervals_that_are_given_are_drawn():
    given = bits_figure({"LSH": VALUES["LSH"]}, intervals={"LSH": {16: (0.01, 0.09), 32: (0.04, 0.12)}})
    assert given != bits_figure({"LSH": VALUES["LSH"]})


def test_the_interval_of_a_mean_is_that_of_student():
    # t of 97.5% with 2 degrees of freedom is 4.3027.
    found = mean_interval([1.0, 2.0, 3.0])
    assert found == pytest.approx((2.0, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert mean_interval([0.5]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("bad", [[], [float("nan")], [[1.0]]])
def test_an_interval_of_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="at least one finite number"):
        mean_interval(bad)


def test_a_figure_over_bits_without_values_is_refused():
    with pytest.raises(ValueError, match="needs values"):
        bits_figure({"LSH": {}})


def test_a_method_looks_the_same_beside_others_and_alone():
    alone, beside = looks(["ITQ-CCA"]), looks(["my own", "LSH", "itq-cca", "HashNet+C"])
    assert alone["ITQ-CCA"] == beside["itq-cca"]
    assert len(set(beside.values())) == 4


def test_forty_lines_all_look_different():
    shown = [tuple(map(str, look(i, marker=True).values())) for i in range(40)]
    assert len(set(shown)) == 40


def test_neighbouring_looks_differ_without_colour():
    plain = [look(i, marker=True) for i in range(19)]
    assert len({(str(one["linestyle"]), one["marker"]) for one in plain}) == 19


def test_figures_are_drawn_from_stored_evaluations_too():
    stored = json.loads(json.dumps(EVALUATION.to_json()))
    assert precision_recall_figure({"a": stored}) == precision_recall_figure({"a": EVALUATION})
    assert precision_at_figure({"a": stored}) == precision_at_figure({"a": EVALUATION})
    assert distance_figure(stored) == distance_figure(EVALUATION)


def test_gaps_of_several_trainings_stand_in_one_figure():
    svg = gap_figure({"HashNet": STAGES, "HashNet-sgn": STAGES})
    assert "HashNet-sgn" in svg
    assert "stage of the continuation" in svg


def test_maps_of_several_methods_stand_side_by_side():
    svg = tsne_figure({"HashNet": CODES, "DHN": CODES[:, ::-1].copy()}, LABELS, n_points=40)
    assert ">HashNet<" in svg
    assert ">DHN<" in svg


def test_the_same_codes_give_the_same_map_under_any_name():
    names = tsne_figure({"a": CODES, "b": CODES}, LABELS, n_points=40)
    places = re.findall(r'<use xlink:href="#m[0-9a-f]+" x="([0-9.]+)" y="([0-9.]+)"', names)
    heights = [y for _, y in places]
    assert heights.count(heights[0]) >= 2


def test_no_name_is_there_twice_when_figures_share_a_page():
    assert re.findall(r' id="(?:figure|axes|patch|line2d|text)_\d+"', FIGURES["loss"]()) == []


def test_classes_that_are_not_told_apart_are_grey_or_left_out():
    labels = np.eye(30, dtype=bool)[np.arange(60) % 30]
    codes = np.packbits(np.repeat(labels, 2, axis=1)[:, :56], axis=1)
    assert ">others<" in tsne_figure(codes, labels)
    assert ">others<" not in tsne_figure(codes, labels, others=False)
    assert tsne_figure(codes, labels, others=False).count("<use") == 2 * 16 + 16  # points, and the legend


def test_coordinates_are_short_and_labels_whole():
    svg = bits_figure({"HashNet": {16: [0.0012], 32: [0.0014]}})
    places = re.findall(r' (?:d|x|y)="([^"]*)"', svg)
    assert places
    assert not any(re.search(r"[.][0-9]{3}", place) for place in places)
    assert "0.0012" in re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_markers_keep_the_look_of_their_method():
    svg = bits_figure({"HashNet": {n: [n / 100] for n in (16, 32, 48)}, "DHN": {16: [0.1], 32: [0.3]}})
    root = ElementTree.fromstring(svg)
    space, link = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
    colours = {}
    for group in root.iter(f"{space}g"):
        for marker in group.findall(f"{space}use"):
            style = marker.get("style") or group.get("style") or ""
            if found := re.search("fill:(#[0-9a-f]+)", style):
                colours.setdefault(found[1].upper(), []).append(marker.get(link))
    # A marker for each length, and one in the legend.
    assert {colour: len(marks) for colour, marks in colours.items()} == {"#0072B2": 4, "#D55E00": 3}
