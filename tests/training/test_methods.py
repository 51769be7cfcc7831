"""The registry of methods, and one call that fits any of them."""

from __future__ import annotations

import numpy as np
import pytest

from hashnet.evaluation import mean_average_precision, rank
from hashnet.losses import OBJECTIVES
from hashnet.training.head import HeadSettings, train_head
from hashnet.training.methods import METHODS, fit_features

N, K = 180, 16
QUICK = {
    "ksh": {"n_anchors": 60, "iterations": 30},
    "sdh": {"n_anchors": 60},
    "bre": {"n_train": 100, "n_anchors": 8, "sweeps": 1},
    **{name: {"hidden": 24, "iterations": 60, "batch_size": 64, "lr": 5e-3} for name in OBJECTIVES},
}
EVERY = pytest.mark.parametrize("name", METHODS)


def classes(n=N, *, seed=0):
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(6, 24))
    y = np.arange(n) % 6
    return middles[y] + rng.normal(0, 1.0, (n, 24)), y


FEATURES, Y = classes()
LABELS = np.eye(6, dtype=np.uint8)[Y]


def fitted(name, *, labels=LABELS, features=FEATURES):
    return fit_features(name, features, labels, n_bits=K, settings=QUICK.get(name))


@pytest.fixture(scope="module")
def codes_of():
    """The codes of the features by method, each computed when first asked for."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = fitted(name).encode(FEATURES)
        return known[name]

    return get


def test_all_methods_of_the_tables_are_there_and_every_deep_one_has_its_objective():
    names = "lsh sh itq itq-cca ksh sdh bre cnnh dnnh dhn hashnet hashnet-c hashnet-w hashnet-sgn dpsh"
    assert set(METHODS) == {*names.split(), "greedyhash", "csq", "dpn", "orthohash"}
    assert {name for name, method in METHODS.items() if not method.shallow} == set(OBJECTIVES)


@EVERY
def test_a_method_knows_its_name_and_its_paper(name):
    method = METHODS[name]
    assert method.name == name
    assert method.title.lower() == {"hashnet-c": "hashnet+c"}.get(name, name)
    assert method.paper.rstrip("0123456789").endswith(" ")
    assert method.supervised == (name not in {"lsh", "sh", "itq"})


@EVERY
def test_every_method_fits_and_encodes_better_than_chance(name):
    queries, y = classes(120, seed=5)
    method = fitted(name)
    codes = method.encode(FEATURES)
    assert (codes.dtype, codes.shape) == (np.uint8, (N, K // 8))
    ranking = rank(method.encode(queries), np.eye(6, dtype=np.uint8)[y], codes, LABELS, at=N)
    assert mean_average_precision(ranking, tie_aware=True) > 0.25


@EVERY
def test_the_same_arguments_give_the_same_codes(codes_of, name):
    assert np.array_equal(fitted(name).encode(FEATURES), codes_of(name))


@EVERY
def test_class_numbers_are_as_good_as_multi_hot_labels(codes_of, name):
    assert np.array_equal(fitted(name, labels=Y).encode(FEATURES), codes_of(name))


@EVERY
def test_float32_features_of_any_memory_order_do(name):
    features = FEATURES.astype(np.float32)
    codes = [fitted(name, features=one).encode(features) for one in (features, np.asfortranarray(features))]
    assert np.array_equal(*codes)


@EVERY
def test_without_labels_only_methods_that_need_them_refuse(name):
    if METHODS[name].needs_labels:
        with pytest.raises(ValueError, match="learns from labels, and got none; give labels"):
            fitted(name, labels=None)
    else:
        assert fitted(name, labels=None).encode(FEATURES).shape == (N, K // 8)


@pytest.mark.parametrize("name", ["lsh", "sh", "itq"])
def test_unsupervised_methods_do_not_look_at_labels(name):
    codes = [fitted(name, labels=labels).encode(FEATURES) for labels in (None, LABELS, LABELS[::-1])]
    assert np.array_equal(codes[0], codes[1])
    assert np.array_equal(codes[0], codes[2])


def test_a_deep_method_is_a_head_trained_with_these_settings():
    direct = train_head(
        FEATURES, LABELS, "csq", n_bits=K, seed=3, settings=HeadSettings(**QUICK["csq"], quantization=0.1)
    )
    by_name = fit_features(
        "csq", FEATURES, LABELS, n_bits=K, seed=3, settings={**QUICK["csq"], "quantization": 0.1}
    )
    assert np.array_equal(by_name.encode(FEATURES), direct.encode(FEATURES))


@EVERY
def test_a_setting_that_the_method_does_not_have_is_refused(name):
    with pytest.raises(ValueError, match=r"learning_rate: no setting of .*, which has "):
        fit_features(name, FEATURES, LABELS, n_bits=K, settings={"learning_rate": 0.1})


@EVERY
@pytest.mark.parametrize("setting", ["n_bits", "seed"])
def test_an_argument_is_no_setting(name, setting):
    with pytest.raises(ValueError, match=f"{setting}: given as an argument"):
        fit_features(name, FEATURES, LABELS, n_bits=K, settings={setting: 8})


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"method must be one of lsh, sh, .*orthohash, got 'hashnett'"):
        fitted("hashnett")


@EVERY
@pytest.mark.parametrize(
    ("labels", "rule"), [(LABELS[:9], "each of the 180 rows"), (np.full(N, 3), "at least two classes")]
)
def test_labels_that_do_not_fit_are_refused(name, labels, rule):
    if not METHODS[name].supervised:
        pytest.skip("does not look at labels")
    with pytest.raises(ValueError, match=rule):
        fitted(name, labels=labels)
