"""Small float64 batches for the tests of objectives: outputs z, labels and rows of a training set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hashnet.losses import TrainingSet

K = 8
N_TRAIN = 12


class Batch(NamedTuple):
    z: torch.Tensor
    labels: torch.Tensor
    places: torch.Tensor


def labels_of(n, *, n_classes=4, single=False, seed=0):
    """Multi-hot labels of which some are shared; with several labels some items have none."""
    rng = np.random.default_rng((seed, n, n_classes, single))
    if single:
        return np.eye(n_classes, dtype=np.uint8)[rng.integers(0, n_classes, n)]
    return rng.integers(0, 2, (n, n_classes), dtype=np.uint8)


def training_set(*, single=False, n_bits=K, seed=0, n_classes=4):
    return TrainingSet(labels_of(N_TRAIN, n_classes=n_classes, single=single), n_bits, seed)


def batch_of(training, n=6, *, seed=0, scale=1.0):
    """A batch of n rows of the training set, in float64."""
    rng = np.random.default_rng(seed)
    places = rng.choice(len(training.labels), n, replace=False)
    z = torch.from_numpy(rng.normal(0, scale, (n, training.n_bits)))
    return Batch(z, torch.from_numpy(training.labels[places].astype(np.float64)), torch.from_numpy(places))


def gradients_are_those_of_finite_differences(objective, batch):
    """Whether the gradients of z and of every parameter are right; the objective is made float64."""
    objective.double()
    z = batch.z.clone().requires_grad_()
    inputs = (z, *objective.parameters())
    return torch.autograd.gradcheck(lambda z, *_: objective(z, batch.labels, batch.places), inputs)
