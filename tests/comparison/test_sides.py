"""The sides of a comparison: which images are trained on, searched in and asked, and their features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashnet.comparison import Sides, feature_identity, features_of, own_sides, protocol_sides
from hashnet.datasets import PROTOCOLS, ArrayImages, open_protocol, split
from hashnet.errors import HashnetError
from hashnet.training import TrainConfig

LABELS = np.eye(4, dtype=np.uint8)[np.arange(40) % 4]
IMAGES = ArrayImages(np.zeros((40, 8, 8), dtype=np.uint8), LABELS)
CONFIG = TrainConfig(backbone="small_cnn", image_size=8)
RECIPE = replace(PROTOCOLS["cifar10-1"], query_per_class=2, train_per_class=3)


def test_without_a_protocol_the_database_is_trained_on():
    sides, parts = own_sides(IMAGES, seed=3), split(IMAGES, seed=3)
    assert np.array_equal(sides.database, parts.database)
    assert np.array_equal(sides.query, parts.query)
    assert np.array_equal(sides.train, sides.database)
    assert sides.said == "one of five a query, seed 3"


def test_the_sides_of_a_protocol_are_its_lists():
    opened = open_protocol(RECIPE, data=IMAGES)
    sides = protocol_sides(opened)
    for name in ("train", "database", "query"):
        assert np.array_equal(getattr(sides, name), opened.rows(name))
    assert sides.recipe["checksum"] == opened.checksum
    assert sides.rows().tolist() == list(range(40))


def test_a_repeated_training_row_is_trained_on_once_in_the_order_of_the_list():
    opened = replace(open_protocol(RECIPE, data=IMAGES), train=np.array([7, 3, 7, 5]))
    assert protocol_sides(opened).train.tolist() == [7, 3, 5]


def test_a_protocol_without_a_side_cannot_be_compared_by():
    opened = replace(open_protocol(RECIPE, data=IMAGES), database=np.empty(0, np.int64))
    with pytest.raises(ValueError, match="finds no database images"):
        protocol_sides(opened)


def test_the_identity_of_features_tells_protocols_apart_but_not_where_the_data_lie():
    opened = open_protocol(RECIPE, data=IMAGES)
    by, own = (
        feature_identity(IMAGES, CONFIG, one) for one in (protocol_sides(opened), own_sides(IMAGES, seed=0))
    )
    assert by["protocol"]["checksum"] == opened.checksum
    assert "data" not in by["protocol"]
    assert "protocol" not in own
    assert by["split"] != own["split"]


def test_places_follow_the_lists_and_leave_out_what_could_not_be_read():
    sides = Sides(np.array([9, 2]), np.array([30, 2, 9, 2]), np.array([5, 4]), "by hand")
    rows = np.array([2, 4, 9, 30])  # 5 could not be read
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    table = features_of(values, rows, IMAGES, sides)
    assert table.rows[table.train].tolist() == [9, 2]
    assert table.rows[table.database].tolist() == [30, 2, 9, 2]
    assert table.rows[table.query].tolist() == [4]
    assert np.array_equal(table.side_labels(table.query), LABELS[[4]])


def test_a_side_of_which_nothing_could_be_read_is_refused():
    sides = Sides(np.array([1]), np.array([1]), np.array([5]), "by hand")
    with pytest.raises(HashnetError, match="no image of the query part"):
        features_of(np.zeros((1, 2), np.float32), np.array([1]), IMAGES, sides)


def test_labels_that_are_not_there_cannot_be_asked_for():
    bare = ArrayImages(np.zeros((40, 8, 8), dtype=np.uint8))
    table = features_of(np.zeros((40, 2), np.float32), np.arange(40), bare, own_sides(bare, seed=0))
    with pytest.raises(ValueError, match="this needs labels"):
        table.side_labels(table.query)
