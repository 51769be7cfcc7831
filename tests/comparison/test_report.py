"""The report of a comparison that was made in Python: sections that fit what was measured."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from hashnet.comparison import CompareSettings, features_of, measure_methods, own_sides
from hashnet.comparison.report import report, summary, to_csv
from hashnet.comparison.sections import ordered
from hashnet.datasets import ArrayImages
from hashnet.errors import HashnetError

N, N_CLASSES = 120, 4
CLASSES = np.arange(N) % N_CLASSES
VALUES = (np.eye(16)[CLASSES] * 2 + np.random.default_rng(0).normal(0, 0.5, (N, 16))).astype(np.float32)
PICTURES = np.random.default_rng(1).integers(0, 255, (N, 8, 8), dtype=np.uint8)
QUICK = {"hidden": 16, "iterations": 20, "batch_size": 32, "stages": 2}
PROTOCOL = {"backbone": "made up", "weights": None, "radius": 2}


def compared(folder, *methods, labelled=True, **changes):
    images = ArrayImages(PICTURES, np.eye(N_CLASSES, dtype=np.uint8)[CLASSES] if labelled else None)
    table = features_of(VALUES, np.arange(N), images, own_sides(images, seed=0))
    given = {"bits": (8, 16), "seeds": (0,), "at": 50, "settings": {"hashnet": QUICK, "dhn": QUICK}}
    settings = CompareSettings(methods=methods, **{**given, **changes})
    return measure_methods(images, table, settings, folder, protocol=PROTOCOL)


def test_stages_are_shown_where_a_network_was_trained(tmp_path):
    page = report(compared(tmp_path, "itq", "dhn", "hashnet")).to_html()
    assert "HashNet, 16 bits: loss on relaxed and on sgn codes" in page
    assert "Mean distance of a relaxed bit from its sign" in page
    without = report(compared(tmp_path, "itq", "lsh")).to_html()
    assert "loss on relaxed" not in without


def test_the_order_of_methods_is_that_of_merit_at_the_greatest_length(tmp_path):
    done = compared(tmp_path, "lsh", "itq", "itq-cca", merit="map_tie_aware")
    at_last = {one.title: one.figure("map_tie_aware") for one in done.results if one.n_bits == 16}
    assert ordered(done) == sorted(at_last, key=lambda title: -at_last[title])
    assert done.headline == ("map_tie_aware", "MAP@50, tie-aware")


def test_the_csv_has_a_row_a_run(tmp_path):
    done = compared(tmp_path, "lsh", "itq", seeds=(3, 4))
    rows = list(csv.DictReader(io.StringIO(to_csv(done))))
    found = [(row["method"], int(row["n_bits"]), int(row["seed"])) for row in rows]
    assert sorted(found) == sorted((m, b, s) for m in ("LSH", "ITQ") for b in (8, 16) for s in (3, 4))
    assert [float(row["map"]) for row in rows] == [one.figure("map") for one in done.results]
    assert all(int(row["distinct_codes"]) <= 96 for row in rows)


def test_without_labels_the_best_finds_most_neighbours(tmp_path):
    done = compared(tmp_path, "lsh", "itq", "hashnet", labelled=False)
    assert done.left_out == [("HashNet", "it learns from labels, and there are none")]
    found = [row["recall@10"][0] for row in summary(done)]
    assert found == sorted(found, reverse=True)
    assert "There are no labels" in report(done).to_html()


def test_nothing_that_fits_is_an_error_with_the_reasons(tmp_path):
    with pytest.raises(HashnetError, match="no method could be fitted: ITQ, 64 bits, seed 0"):
        compared(tmp_path, "itq", bits=(64,))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at": 0}, "at must be >= 1"),
        ({"radius": -1}, "radius >= 0"),
        ({"merit": "speed"}, "merit must be map or map_tie_aware"),
        ({"bits": (12,)}, "multiple of 8"),
        ({"seeds": ()}, "seeds must name at least one"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        compared(tmp_path, "itq", **changes)
