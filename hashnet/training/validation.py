"""Images kept out of training, the MAP on them after each stage, and the best stage so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.codes import pack
from hashnet.evaluation import mean_average_precision, rank
from hashnet.training.inputs import EVERYTHING, Inputs

AT = 1000
MAX_DATABASE = 4096
MAP_KEY = "validation_map"


@dataclass(frozen=True)
class Subset:
    """Some places of other inputs, numbered anew."""

    inputs: Inputs
    places: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row in the image set of each place."""
        return self.inputs.rows[self.places]

    @property
    def rejects(self) -> list[Any]:
        """The images that could not be read."""
        return self.inputs.rejects

    def batch(self, places: NDArray[np.int64], *, iteration: int | None, part: slice = EVERYTHING) -> Tensor:
        """Return the inputs at ``places`` of the subset."""
        return self.inputs.batch(self.places[places], iteration=iteration, part=part)


@dataclass(frozen=True)
class Split:
    """Places of the inputs to train on and to validate on, both ascending."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split_for_validation(n: int, *, share: float, seed: int) -> Split:
    """Return which of ``n`` places to train on; ``share`` of them, at random by ``seed``, are held out."""
    if not share:
        return Split(np.arange(n), np.empty(0, np.int64))
    n_held_out = max(1, round(share * n))
    if n - n_held_out < 2:
        raise ValueError(
            f"validation={share} of {n} images leaves {n - n_held_out} to train on; take a smaller share"
        )
    order = np.random.default_rng((seed, 4)).permutation(n)
    return Split(np.sort(order[n_held_out:]), np.sort(order[:n_held_out]))


def database_sample(n: int, *, seed: int) -> NDArray[np.int64]:
    """Return the training images among which the held-out ones are looked up: all, or 4,096 at random."""
    if n <= MAX_DATABASE:
        return np.arange(n)
    return np.sort(np.random.default_rng((seed, 5)).choice(n, MAX_DATABASE, replace=False))


def retrieval_map(
    queries: Tensor, query_labels: NDArray[np.uint8], database: Tensor, database_labels: NDArray[np.uint8]
) -> float:
    """Return MAP@1000, tie-aware, of relaxed codes ``(n, n_bits)`` whose signs are the codes."""
    ranking = rank(
        pack(queries.float().cpu().numpy()),
        query_labels,
        pack(database.float().cpu().numpy()),
        database_labels,
        at=AT,
    )
    return mean_average_precision(ranking, tie_aware=True)


class BestStage:
    """The state of what is learned after the stage with the best MAP, the first of equal ones.

    Which stage that is follows from the figures of the stages; only its tensors are kept here.
    """

    def __init__(self, learned: nn.Module) -> None:
        self._learned = learned
        self._state: dict[str, Tensor] = {}

    def consider(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Keep the present state if the last stage of ``history`` is the best."""
        if best_stage(history) is history[-1]:
            self._state = {
                name: value.detach().cpu().clone() for name, value in self._learned.state_dict().items()
            }

    def state(self) -> dict[str, Tensor]:
        """Return the tensors, for a checkpoint."""
        return self._state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensors of a checkpoint."""
        self._state = dict(state)

    def apply(self) -> None:
        """Put the best state into what is learned."""
        with torch.no_grad():
            self._learned.load_state_dict(self._state)


def best_stage(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the figures of the stage with the best MAP; what was before the first stage does not count."""
    return max((stage for stage in history if stage["stage"] >= 0), key=lambda stage: stage[MAP_KEY])


def is_over(history: Sequence[Mapping[str, Any]], *, patience: int) -> bool:
    """Return whether the last ``patience`` stages brought no better MAP; never with a patience of 0."""
    last = history[-1]["stage"]
    return patience > 0 and last >= 0 and last - best_stage(history)["stage"] >= patience
