"""The page of goals: what the stored results of each machine say, with what was missed set off."""

from __future__ import annotations

import json

import pytest

from benchmarks.goal_page import cell, figures, page, stored
from benchmarks.provenance import size_of

MACHINE = {"cpu": "C", "cores": 2, "memory_gib": 24, "simd": "avx2", "load": 0.1}


def search(value):
    goal = {"number": 1, "workload": "uniform", "question": "k 10", "measure": "engine ms"}
    return {
        "machine": MACHINE,
        "commit": "0123456789",
        "protocol": {"n": 10**7, "n_bits": 64},
        "goals": [{**goal, "limit": 0.5, "at_most": True, "value": value, "reached": value <= 0.5}],
    }


def planner(*ratios):
    rows = [{"question": f"radius {at}", "ratio": ratio} for at, ratio in enumerate(ratios)]
    return {
        "machine": MACHINE,
        "commit": "9876543210",
        "protocol": {"limit": 1.2},
        "series": [{"workload": "clustered", "n": 10**6, "n_bits": 64, "rows": rows}],
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "old").mkdir()
    for name, result in {
        "search_1e7_64": search(0.25),
        "old/search_1e7_64": search(0.75),
        "planner": planner(*[1.0] * 15, 1.3, 1.5),
        "bulk": {"machine": MACHINE, "figures": {}},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
    return tmp_path


def test_each_folder_is_a_column_and_results_without_goals_are_left_out(folder):
    results = stored(folder)
    assert {name: [one["file"] for one in ones] for name, ones in results.items()} == {
        "old": ["search_1e7_64"],
        "results": ["planner", "search_1e7_64"],
    }


def test_missed_goals_are_bold_and_met_ones_are_not(folder):
    text = page(stored(folder))
    assert "| 1e7 of 64 bits, uniform: engine ms | <= 0.5 | **k 10 0.75** | k 10 0.25 |" in text
    assert "Commits 0123456, 9876543." in text


def test_of_many_figures_those_that_missed_are_named(folder):
    found = list(figures(planner(*[1.0] * 15, 1.3, 1.5)))
    assert cell(found) == "15 of 17, the worst: **radius 16 1.5**, **radius 15 1.3**"
    assert cell(list(figures(planner(*[1.0] * 14, 1.1)))) == "15 of 15, the worst: radius 14 1.1"


@pytest.mark.parametrize(("n", "text"), [(10**5, "1e5"), (10**9, "1e9"), (2 * 10**10, "2e10")])
def test_sizes_read_as_on_the_command_line(n, text):
    assert size_of(n) == text
