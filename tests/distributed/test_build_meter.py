"""Progress of a distributed build, in rows."""

import pytest
from codesets import make_codes
from hashnet.distributed.build_meter import StageCount, expected_tables, rows_built

import hashnet


def test_sorted_tables_are_counted_with_their_fractions():
    count = StageCount()
    count.start("read codes", 100)
    count.advance(100)
    assert count.tables == 0
    count.start("build: sorting rows", 200)
    count.advance(50)
    assert count.tables == 0.25
    count.advance(150)
    count.start("build: sorting table 1", 300)
    count.advance(150)
    assert count.tables == 1.5
    count.start("build: writing to disk", 10)
    assert count.tables == 2


def test_the_tables_of_a_real_build_are_counted(rng):
    count = StageCount()
    index = hashnet.Index.in_memory(n_bits=64)
    index.add(make_codes("uniform", 20_000, 64, rng), progress=count)
    assert count.tables == index.stats().tables[0] == expected_tables(64, 20_000, None)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)


def test_a_part_counts_by_its_tables_and_fully_only_when_finished():
    assert rows_built({0: 100, 1: 1000}, {0: 1.0, 1: 2.5}, tables=4) == 25 + 625
    assert rows_built({0: 100}, {0: 9.0}, tables=4) == 99
