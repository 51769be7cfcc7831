"""What all classic methods promise: scikit-learn's conventions, packed codes, determinism, clear errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from feature_samples import clusters, multi_hot_of, tagged
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from hashnet.baselines import BRE, ITQ, ITQCCA, KSH, LSH, SDH, SH
from hashnet.codes import pack

QUICK = {"BRE": {"n_train": 80, "n_anchors": 10, "sweeps": 2}, "KSH": {"n_anchors": 40, "iterations": 20}}
SUPERVISED = (ITQCCA, KSH, SDH)
EVERY = (LSH, SH, ITQ, *SUPERVISED, BRE)
every_method = pytest.mark.parametrize("method", EVERY)
supervised = pytest.mark.parametrize("method", SUPERVISED)


def make(method, n_bits=16, **settings):
    return method(n_bits, **QUICK.get(method.__name__, {}) | settings)


@every_method
def test_scikit_learn_accepts_it_as_an_estimator(method, monkeypatch):
    # The checks fit a handful of features: PCA and the code layout stand in the way of 8 bits there, so
    # they run with 1 bit, which only the layout of packed codes forbids.
    monkeypatch.setattr("hashnet.baselines.method.check_n_bits", int)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping check check_array_api_input")
        results = check_estimator(make(method, 1), on_fail=None)
    failed = {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "failed"}
    assert failed == {}
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= {"check_array_api_input"}
    assert len(results) > 40


@every_method
def test_codes_are_the_packed_signs_of_the_relaxed_codes(method):
    x, y = clusters()
    fitted = make(method).fit(x, y)
    relaxed, codes = fitted.transform(x), fitted.encode(x)
    assert relaxed.shape == (300, 16)
    assert codes.shape == (300, 2)
    assert codes.dtype == np.uint8
    assert codes.flags.c_contiguous
    np.testing.assert_array_equal(codes, pack(np.ascontiguousarray(relaxed)))


@every_method
def test_equal_seeds_give_equal_codes_bit_for_bit(method):
    x, y = clusters()
    first, second = (make(method, seed=3).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(first.transform(x), second.transform(x))


@pytest.mark.parametrize("method", [m for m in EVERY if m is not SH])
def test_another_seed_gives_other_codes(method):
    x, y = clusters()
    assert (make(method, seed=1).fit(x, y).encode(x) != make(method, seed=2).fit(x, y).encode(x)).any()


@every_method
def test_more_rows_than_a_block_are_encoded_like_few(method, monkeypatch):
    x, y = clusters()
    fitted = make(method).fit(x, y)
    whole = fitted.transform(x)
    monkeypatch.setattr("hashnet.baselines.method.BLOCK_ROWS", 7)
    np.testing.assert_allclose(fitted.transform(x), whole, atol=1e-9)


@every_method
def test_learning_and_encoding_leave_the_features_alone(method):
    x, y = clusters()
    before, labels = x.copy(), y.copy()
    make(method).fit(x, y).encode(x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, labels)


@every_method
def test_float32_features_are_as_good_as_float64(method):
    x, y = clusters()
    fitted = make(method).fit(x.astype(np.float32), y)
    np.testing.assert_allclose(
        fitted.transform(x.astype(np.float32)), fitted.transform(x), rtol=1e-3, atol=1e-3
    )


@every_method
def test_settings_are_stored_untouched_and_clones_forget_what_was_learned(method):
    x, y = clusters()
    fitted = make(method, seed=4).fit(x, y)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError, match=f"This {method.__name__} instance is not fitted yet"):
        copy.encode(x)


@every_method
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(method, value):
    x, y = clusters()
    fitted = make(method).fit(x, y)
    x[7, 3] = value
    with pytest.raises(ValueError, match="row 7 has NaN or inf"):
        make(method).fit(x, y)
    with pytest.raises(ValueError, match="row 7 has NaN or inf"):
        fitted.encode(x)


@every_method
def test_a_failed_fit_leaves_what_was_learned_before(method):
    x, y = clusters()
    fitted = make(method).fit(x, y)
    codes = fitted.encode(x)
    bad = x[:, :20].copy()
    bad[5, 5] = np.nan
    with pytest.raises(ValueError, match="row 5"):
        fitted.fit(bad, y)
    np.testing.assert_array_equal(fitted.encode(x), codes)
    fresh = make(method)
    with pytest.raises(ValueError, match="row 5"):
        fresh.fit(bad, y)
    with pytest.raises(NotFittedError):
        fresh.encode(x)


@every_method
def test_another_number_of_features_is_refused(method):
    x, y = clusters()
    with pytest.raises(ValueError, match=r"X has 23 features, but .* is expecting 24"):
        make(method).fit(x, y).encode(x[:, :23])


@every_method
@pytest.mark.parametrize(("n_bits", "error"), [(12, "multiple of 8"), (0, "from 8"), (2048, "to 1024")])
def test_code_lengths_without_a_layout_are_refused(method, n_bits, error):
    x, y = clusters()
    with pytest.raises(ValueError, match=error):
        make(method, n_bits).fit(x, y)


@every_method
def test_a_negative_seed_is_refused(method):
    x, y = clusters()
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        make(method, seed=-1).fit(x, y)


@pytest.mark.parametrize("method", [m for m in EVERY if m is not LSH])
def test_features_that_are_all_equal_are_refused(method):
    x, y = np.ones((40, 24)), np.arange(40) % 2
    with pytest.raises(ValueError, match=r"equal|no feature of X varies"):
        make(method).fit(x, y)


@supervised
def test_labels_are_demanded(method):
    with pytest.raises(ValueError, match="requires y to be passed"):
        make(method).fit(clusters()[0])


@pytest.mark.parametrize("method", [*SUPERVISED, BRE])
def test_class_numbers_names_and_multi_hot_rows_say_the_same(method):
    x, y = clusters()
    codes = make(method).fit(x, y).encode(x)
    np.testing.assert_array_equal(make(method).fit(x, multi_hot_of(y, 6)).encode(x), codes)
    names = np.array(list("abcdef"))[y]
    np.testing.assert_array_equal(make(method).fit(x, names).encode(x), codes)


@pytest.mark.parametrize("method", [*SUPERVISED, BRE])
def test_rows_with_several_labels_or_none_are_learned_from(method):
    x, tags = tagged()
    assert (tags.sum(axis=1) > 1).any()
    assert (tags.sum(axis=1) == 0).any()
    bits = np.unpackbits(make(method, 32).fit(x, tags).encode(x), axis=1)
    differing = (bits[:, None] != bits[None]).sum(axis=2)
    similar = tags.astype(int) @ tags.T > 0
    off = ~np.eye(len(x), dtype=bool)
    assert differing[similar & off].mean() < differing[~similar & off].mean() - 1


@pytest.mark.parametrize("method", [*SUPERVISED, BRE])
@pytest.mark.parametrize(
    ("y", "error"),
    [
        (np.zeros(300, dtype=int), "at least two classes"),
        (np.arange(299), "one row for each of the 300 rows"),
        (np.full((300, 2), 2), "only 0 and 1"),
        (np.linspace(0, 1, 300), "Unknown label type"),
        (np.where(np.arange(300) == 5, np.nan, 1.0), "NaN"),
        (np.zeros((300, 2, 2)), "one row for each"),
    ],
)
def test_labels_that_are_none_are_refused(method, y, error):
    with pytest.raises(ValueError, match=error):
        make(method).fit(clusters()[0], y)
