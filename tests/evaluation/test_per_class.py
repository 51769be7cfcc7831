"""The table of classes against a loop over them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.evaluation import class_table


@given(seed=st.integers(0, 2**32 - 1), nq=st.integers(1, 30), n_classes=st.integers(1, 8))
def test_a_class_has_the_means_of_the_queries_that_carry_it(seed, nq, n_classes):
    rng = np.random.default_rng(seed)
    labels = rng.random((nq, n_classes)) < 0.3
    values = {"map": rng.random(nq), "other": rng.random(nq)}
    table = {row.name: row for row in class_table(values, labels)}
    assert set(table) == {str(c) for c in range(n_classes) if labels[:, c].any()}
    for name, row in table.items():
        carry = labels[:, int(name)]
        assert row.n_queries == carry.sum()
        assert row.figures == pytest.approx({key: x[carry].mean() for key, x in values.items()})


def test_with_one_label_a_query_the_classes_average_to_the_whole():
    rng = np.random.default_rng(0)
    labels = np.eye(5, dtype=np.uint8)[rng.integers(0, 5, 60)]
    values = {"map": rng.random(60)}
    table = class_table(values, labels)
    whole = sum(row.n_queries * row.figures["map"] for row in table) / 60
    assert whole == pytest.approx(values["map"].mean())


def test_classes_are_named():
    rows = class_table({"map": np.ones(2)}, np.eye(2, dtype=np.uint8), ("cat", "dog"))
    assert [row.name for row in rows] == ["cat", "dog"]


def test_too_few_names_and_values_are_refused():
    with pytest.raises(ValueError, match="1 class names for 2 label columns"):
        class_table({"map": np.ones(2)}, np.eye(2, dtype=np.uint8), ("cat",))
    with pytest.raises(ValueError, match="3 values for 2 queries"):
        class_table({"map": np.ones(3)}, np.eye(2, dtype=np.uint8))
