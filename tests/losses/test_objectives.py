"""What every objective keeps: shapes, seeds, batches of one class, items without a label, saved state."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from objective_cases import K, batch_of, training_set

from hashnet.losses import OBJECTIVES, LossSettings, TrainingSet, build_objective, complete_settings
from hashnet.losses.quantization import sgn

METHODS = pytest.mark.parametrize("method", OBJECTIVES)
KINDS = pytest.mark.parametrize("single", [True, False], ids=["single", "multi"])


@METHODS
@KINDS
def test_the_loss_is_a_finite_number_with_a_gradient(method, single):
    training = training_set(single=single)
    batch = batch_of(training)
    z = batch.z.float().requires_grad_()
    loss = build_objective(method, training)(z, batch.labels.float(), batch.places)
    loss.backward()
    assert loss.shape == ()
    assert loss.isfinite()
    assert z.grad.isfinite().all()
    assert z.grad.any()


@METHODS
def test_a_batch_of_one_class_has_a_defined_loss(method):
    training = training_set(single=True)
    labels = torch.eye(4)[[1, 1, 1]]
    z = torch.randn(3, K, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = build_objective(method, training)(z, labels, torch.arange(3))
    loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()


@METHODS
def test_a_batch_without_labels_has_a_defined_loss(method):
    training = training_set()
    z = torch.randn(3, K, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = build_objective(method, training)(z, torch.zeros(3, 4), torch.arange(3))
    loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()


@METHODS
@KINDS
def test_the_order_of_the_batch_does_not_matter(method, single):
    training = training_set(single=single)
    batch = batch_of(training)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    losses = [
        build_objective(method, training).double()(batch.z[at], batch.labels[at], batch.places[at]).item()
        for at in (torch.arange(6), order)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)


@METHODS
def test_the_same_arguments_give_the_same_objective(method):
    first, again = (build_objective(method, training_set(seed=3)).state_dict() for _ in range(2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())


@METHODS
def test_making_an_objective_leaves_the_global_generator_alone(method):
    before = torch.random.get_rng_state()
    build_objective(method, training_set())
    assert torch.equal(before, torch.random.get_rng_state())


@METHODS
def test_a_saved_objective_goes_on_as_it_was(method):
    training = training_set()
    objective, restored = build_objective(method, training), build_objective(method, training_set(seed=9))
    for seed in range(3):
        batch = batch_of(training, seed=seed)
        objective(batch.z.float(), batch.labels, batch.places)
    restored.load_state_dict(objective.state_dict())
    losses = [one(batch.z.float(), batch.labels, batch.places).item() for one in (objective, restored)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("method", sorted(set(OBJECTIVES) - {"orthohash"}))
def test_relaxing_keeps_the_code(method):
    objective = build_objective(method, training_set())
    z = torch.tensor([[-9.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 9.0, 3.0]])
    assert torch.equal(sgn(objective.relax(z, 2.0)), sgn(z))


@METHODS
def test_only_methods_with_continuation_depend_on_beta(method):
    objective = build_objective(method, training_set()).eval()
    z = torch.linspace(-1, 1, 2 * K).reshape(2, K)
    differs = not torch.equal(objective.relax(z, 1.0), objective.relax(z, 5.0))
    assert differs == objective.continues == (method in {"hashnet", "hashnet-c", "hashnet-w"})


@METHODS
def test_outputs_of_another_length_are_refused(method):
    with pytest.raises(ValueError, match=rf"\(n, {K}\), got \(3, 9\)"):
        build_objective(method, training_set())(torch.zeros(3, 9), torch.zeros(3, 4), torch.arange(3))


@METHODS
def test_labels_with_another_number_of_rows_are_refused(method):
    with pytest.raises(ValueError, match=r"\(3, n_classes\)"):
        build_objective(method, training_set())(torch.zeros(3, K), torch.zeros(2, 4), torch.arange(3))


@pytest.mark.parametrize("method", ["greedyhash", "csq", "dpn", "orthohash"])
def test_labels_of_other_classes_than_those_of_training_are_refused(method):
    with pytest.raises(ValueError, match="each of the 4 classes of training"):
        build_objective(method, training_set())(torch.ones(3, K), torch.ones(3, 5), torch.arange(3))


@METHODS
def test_defaults_are_complete_and_every_other_setting_is_refused(method):
    takes = OBJECTIVES[method].takes()
    complete = complete_settings(method, LossSettings(), n_bits=16)
    assert {name for name in LossSettings.names() if getattr(complete, name) is not None} == set(takes)
    for name in set(LossSettings.names()) - set(takes):
        with pytest.raises(ValueError, match=f"{name}=0.25 is no setting of {method}"):
            complete_settings(method, LossSettings(**{name: 0.25}), n_bits=16)


@METHODS
def test_a_setting_that_is_given_changes_the_loss(method):
    training = training_set(single=True)
    labels, places = torch.eye(4)[[0, 0, 1, 2]], torch.arange(4)
    z = torch.randn(4, K, generator=torch.Generator().manual_seed(1))

    def loss(settings):
        return build_objective(method, training, settings)(z, labels, places).item()

    for name in OBJECTIVES[method].takes():
        assert loss(LossSettings(**{name: 0.125})) != loss(LossSettings(**{name: 0.4375}))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"scale": float("inf")}, "scale must be positive and finite"),
        ({"quantization": -1.0}, "quantization must be >= 0"),
        ({"margin": float("nan")}, "margin must be >= 0 and finite"),
    ],
)
def test_a_wrong_setting_is_refused_with_value_and_rule(settings, rule):
    with pytest.raises(ValueError, match=rule):
        LossSettings(**settings)


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"method must be one of .*hashnet.*, got 'hasnet'"):
        build_objective("hasnet", training_set())


@pytest.mark.parametrize(
    ("labels", "n_bits", "error"),
    [
        (np.zeros((3, 2), np.int64), 8, TypeError),
        (np.zeros(3, np.uint8), 8, ValueError),
        (np.zeros((3, 2), np.uint8), 7, ValueError),
        (np.zeros((3, 0), np.uint8), 8, ValueError),
    ],
)
def test_a_training_set_must_have_multi_hot_labels_and_a_code_length(labels, n_bits, error):
    with pytest.raises(error):
        TrainingSet(labels, n_bits)


def test_outputs_that_say_nothing_have_the_silent_loss():
    training = training_set()
    for method in OBJECTIVES:
        objective = build_objective(method, training)
        if objective.silent_loss is not None:
            batch = batch_of(training)
            loss = objective(torch.zeros(6, K), batch.labels, batch.places).item()
            assert loss == pytest.approx(objective.silent_loss) == pytest.approx(math.log(2))
