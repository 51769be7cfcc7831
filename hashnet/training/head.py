"""A head alone, trained on features that are given: the deep methods without images or backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashnet.codes import Codes, pack
from hashnet.errors import HashnetError
from hashnet.losses import LossSettings, Objective, TrainingSet, build_objective
from hashnet.models import HashHead
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.config import frozen_defaults
from hashnet.training.diagnostics import Saturation, StageMetrics, measure, saturation
from hashnet.training.dropout import SeededDropout
from hashnet.training.optimizer import given
from hashnet.training.sampler import BatchSampler
from hashnet.training.schedule import betas, lr_factor, stage_of

_ROWS_AT_ONCE = 8192
_LOOK_EVERY = 10
_MEASURED = 1024  # training items on which figures are taken at the end of a stage


@dataclass(frozen=True)
class HeadSettings:
    """How a head is trained; None is the method's default, which is that of a frozen backbone in training.

    ``hidden`` is the width of a ReLU layer before the hash layer (0 for none), ``dropout`` the share of its
    units left out in training. ``amp`` "on" multiplies in bfloat16, which pays where the processor does so
    natively (AMX); the loss, and codes, stay float32. The last five are settings of the loss
    (``LossSettings``).
    """

    hidden: int | None = None
    dropout: float | None = None
    iterations: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    lr_decay: Literal["cosine", "none"] = "cosine"
    weight_decay: float | None = None
    stages: int = 10
    beta_max: float = 64.0
    beta_final: float = 1e4
    amp: Literal["on", "off"] = "off"
    alpha: float | None = None
    quantization: float | None = None
    margin: float | None = None
    scale: float | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("hidden", 0), ("iterations", 1), ("batch_size", 2), ("weight_decay", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < float("inf"):
                raise ValueError(f"{name} must be >= {least} and finite, got {value!r}")
        if self.lr is not None and not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be positive and finite, got {self.lr!r}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout!r}")
        if self.dropout and self.hidden == 0:
            raise ValueError(f"dropout {self.dropout} needs a hidden layer, got hidden=0; give a width")
        if self.lr_decay not in ("cosine", "none"):
            raise ValueError(f"lr_decay must be cosine or none, got {self.lr_decay!r}")
        if self.amp not in ("on", "off"):
            raise ValueError(f"amp must be on or off, got {self.amp!r}")
        betas(self.stages, beta_max=self.beta_max, beta_final=self.beta_final)
        self.loss_settings()

    def resolved(self, method: str) -> HeadSettings:
        """Return the settings with the defaults of ``method`` where None, those of the loss excepted."""
        defaults = frozen_defaults(method)
        names = ("hidden", "dropout", "iterations", "batch_size", "lr", "weight_decay")
        filled = {name: defaults[name] for name in names if getattr(self, name) is None}
        if "dropout" in filled and self.hidden == 0:
            filled["dropout"] = 0.0
        return replace(self, **filled)

    def loss_settings(self) -> LossSettings:
        """Return the settings of the loss."""
        return LossSettings(**{name: getattr(self, name) for name in LossSettings.names()})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> HeadSettings:
        """Return settings by name; ValueError for a name that is none."""
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(settings) - set(names))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no setting of a head, which has {', '.join(names)}")
        return cls(**settings)


class TrainedHead:
    """A head as ``train_head`` left it. ``saturation`` says, of a method with continuation, how far the
    relaxed codes of the training set ended from sgn codes; it is None for the others. ``stages`` are the
    figures at the start and at the end of each stage, over a sample of the training set.
    """

    def __init__(
        self, head: HashHead, saturated: Saturation | None, stages: tuple[StageMetrics, ...] = ()
    ) -> None:
        self.head = head.eval()
        self.saturation = saturated
        self.stages = stages

    def relaxed(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Return z ``(n, n_bits)`` of features ``(n, n_features)``; its sign is the code."""
        n_features = len(self.head.shift)
        values = check_features(features)
        if values.shape[1] != n_features:
            raise ValueError(
                f"features must have {n_features} columns, as those of training had, got {values.shape[1]}"
            )
        return _z(self.head, torch.from_numpy(values)).numpy()

    def encode(self, features: NDArray[Any]) -> Codes:
        """Return the packed codes of features ``(n, n_features)``."""
        return pack(self.relaxed(features))


def train_head(
    features: NDArray[Any],
    labels: NDArray[np.uint8],
    method: str,
    *,
    n_bits: int,
    seed: int = 0,
    settings: HeadSettings | None = None,
    progress: Progress = NO_PROGRESS,
) -> TrainedHead:
    """Train a head on features ``(n, n_features)`` and multi-hot labels ``(n, n_classes)``, on the CPU.

    Adam, with the objective of ``method`` (``hashnet.losses.OBJECTIVES``). The same arguments give the same
    codes on one machine with one number of threads; torch's global generator is left as it was.
    """
    settings = (settings or HeadSettings()).resolved(method)
    values = torch.from_numpy(check_features(features))
    objective = build_objective(method, TrainingSet(labels, n_bits, seed), settings.loss_settings())
    if len(labels) != len(values):
        raise ValueError(f"labels must have a row for each of {len(values)} features, got {len(labels)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = HashHead(values.shape[1], n_bits, hidden=given(settings.hidden))
        plain, head.dropout = head.dropout, SeededDropout(given(settings.dropout), seed=seed)
        head.standardize(values)
        objective.shape_head(head)
        run = _Run(head, objective, settings, seed=seed, progress=progress)
        beta = run.optimize(values, torch.from_numpy(labels).float())
    head.dropout = plain
    head.dropout.p = given(settings.dropout)
    head.eval()
    objective.eval()
    saturated = saturation(_z(head, values), objective, beta=beta) if objective.continues else None
    objective.finish(head)
    return TrainedHead(head, saturated, tuple(run.stages))


def check_features(features: NDArray[Any]) -> NDArray[np.float32]:
    """Return finite features ``(n, n_features)`` as float32; TypeError or ValueError for others."""
    if not isinstance(features, np.ndarray) or features.dtype.kind not in "fiu":
        got = getattr(features, "dtype", type(features).__name__)
        raise TypeError(f"features must be a numpy array of real numbers, got {got}")
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features must have shape (n, n_features), neither 0, got {features.shape}")
    values = np.ascontiguousarray(features, dtype=np.float32)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(f"features must be finite, row {row} is not; drop such rows or repair them")
    return values


class _Run:
    """One training of a head and its objective."""

    def __init__(
        self,
        head: HashHead,
        objective: Objective,
        settings: HeadSettings,
        *,
        seed: int,
        progress: Progress,
    ) -> None:
        self._head, self._objective, self._settings = head, objective, settings
        self._seed, self._progress = seed, progress
        self._iterations = given(settings.iterations)
        self.stages: list[StageMetrics] = []

    def optimize(self, values: Tensor, labels: Tensor) -> float:
        """Train head and objective; return the last beta."""
        head, objective, settings = self._head, self._objective, self._settings
        iterations, stages, lr = self._iterations, settings.stages, given(settings.lr)
        schedule = betas(stages, beta_max=settings.beta_max, beta_final=settings.beta_final)
        schedule = schedule if objective.continues else (1.0,) * stages
        sampler = BatchSampler(len(values), batch_size=given(settings.batch_size), seed=self._seed)
        parameters = [*head.parameters(), *objective.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=given(settings.weight_decay))
        head.train()
        objective.train()
        self._measure(values, labels, schedule[0], stage=-1, done=0)
        self._progress.start("train", iterations)
        for iteration in range(iterations):
            stage = stage_of(iteration, iterations=iterations, stages=stages)
            beta = schedule[stage]
            for group in optimizer.param_groups:
                group["lr"] = lr * lr_factor(iteration, iterations=iterations, decay=settings.lr_decay)
            places = torch.from_numpy(sampler.batch(iteration))
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.amp == "on"):
                z = head(values[places])
            loss = objective(z.float(), labels[places], places, beta)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            self._tell(loss, iteration + 1, beta)
            if stage_of(iteration + 1, iterations=iterations, stages=stages) != stage:
                self._measure(values, labels, beta, stage=stage, done=iteration + 1)
        self._progress.finish()
        return schedule[-1]

    def _measure(self, values: Tensor, labels: Tensor, beta: float, *, stage: int, done: int) -> None:
        """Keep the figures of a sample; nothing random is drawn that training draws from."""
        chosen = np.random.default_rng((self._seed, 5)).permutation(len(values))[:_MEASURED]
        places = torch.from_numpy(np.sort(chosen))
        modules = (self._head, self._objective)
        for module in modules:
            module.eval()
        z = _z(self._head, values[places])
        self.stages.append(
            measure(z, labels[places], places, self._objective, beta=beta, stage=stage, iteration=done)
        )
        for module in modules:
            module.train()

    def _tell(self, loss: Tensor, done: int, beta: float) -> None:
        if done % _LOOK_EVERY and done < self._iterations:
            self._progress.advance()
            return
        value = float(loss.detach())
        if not np.isfinite(value):
            raise HashnetError(f"the loss became {value} by iteration {done}; lower lr")
        self._progress.advance(loss=value, beta=beta)


def _z(head: HashHead, values: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([head(rows) for rows in torch.split(values, _ROWS_AT_ONCE)])
