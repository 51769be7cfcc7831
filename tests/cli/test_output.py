"""Results are plain text that nobody has to parse, or JSON that everybody can."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hashnet.cli.output import as_text, plain, print_json, print_pairs, print_table


@dataclass
class Figures:
    map: float
    curve: tuple[float, ...]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (12345.6, "12,346"),
        (np.int64(1000), "1,000"),
        (Path("a/b"), "a/b"),
        ([3, 1], "3, 1"),
        ([[21, 21, 22], [32]], "21+21+22, 32"),
        ([], ""),
    ],
)
def test_values_are_written_as_people_read_them(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (Figures(0.5, (1.0, float("nan"))), {"map": 0.5, "curve": [1.0, None]}),
        ({1: np.arange(2)}, {"1": [0, 1]}),
        (np.float32(0.5), 0.5),
        (Path("a"), "a"),
        (np.array([[np.inf]]), [[None]]),
    ],
)
def test_everything_becomes_plain_json(value, wanted):
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == wanted


def test_json_is_one_line(capsys):
    print_json({"a": [1, 2], "key": "Käse"})
    assert capsys.readouterr().out == '{"a": [1, 2], "key": "Käse"}\n'


def test_columns_are_aligned_and_never_cut(capsys):
    key = "a/very/long/path" * 10
    print_table(["rank", "key"], [[1, key], [1000, "b"]])
    assert capsys.readouterr().out.splitlines() == [" rank  key", f"    1  {key}", "1,000  b"]


def test_pairs_are_aligned(capsys):
    print_pairs({"a": 1, "long": "x"}, title="title")
    assert capsys.readouterr().out.splitlines() == ["title", "  a     1", "  long  x"]
