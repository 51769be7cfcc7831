"""The deep methods by name: how the objective of each is made, and which of the shared settings it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from hashnet.losses.cnnh import CNNH
from hashnet.losses.csq import CSQ
from hashnet.losses.dhn import DHN
from hashnet.losses.dnnh import DNNH
from hashnet.losses.dpn import DPN
from hashnet.losses.dpsh import DPSH
from hashnet.losses.greedyhash import GreedyHash
from hashnet.losses.hashnet import HashNet, HashNetSgn
from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.orthohash import OrthoHash


@dataclass(frozen=True)
class LossSettings:
    """The settings of a loss; None where a method has its default, or does not take it.

    ``alpha`` scales inner products of codes, ``quantization`` weighs the term that draws relaxed codes to
    -1 and +1, ``margin`` is that of a hinge, of a softmax, or of HashNet's pairs, ``scale`` that of a softmax
    over cosines, ``epsilon`` how far from 1/2 the piece-wise threshold of DNNH leaves an output as it is.
    """

    alpha: float | None = None
    quantization: float | None = None
    margin: float | None = None
    scale: float | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "scale", "epsilon"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {value!r}")
        for name in ("quantization", "margin"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be >= 0 and finite, got {value!r}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all settings."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True)
class ObjectiveEntry:
    """How an objective is made from a training set and complete settings, and the defaults for ``n_bits``."""

    build: Callable[[TrainingSet, LossSettings], Objective]
    defaults: Callable[[int], LossSettings]

    def takes(self) -> tuple[str, ...]:
        """Return the names of the settings that the method has."""
        some = self.defaults(8)
        return tuple(name for name in LossSettings.names() if getattr(some, name) is not None)


def _of_hashnet(n_bits: int) -> LossSettings:
    return LossSettings(alpha=10.0 / n_bits, margin=0.0)


def _given(value: float | None) -> float:
    if value is None:
        raise ValueError("a setting was left open; use complete_settings")
    return value


# Weights and margins were compared in short trainings on a validation part of the Tiny-ImageNet-100 training
# images (frozen MobileNetV2, 48 bits, MAP@1000). Those of the papers or their code that did worse there:
# alpha 1 in DHN (.126 against .164), margin 1 in DPN (.490 against .498) and .2 in OrthoHash (.484 against
# .490). CSQ's weight changes nothing from 1e-4 to .1. GreedyHash gains .004 by a quantization of 1, which
# collapses small networks.
OBJECTIVES: Mapping[str, ObjectiveEntry] = MappingProxyType(
    {
        "cnnh": ObjectiveEntry(lambda data, s: CNNH(data), lambda n_bits: LossSettings()),
        "dnnh": ObjectiveEntry(
            lambda data, s: DNNH(data, margin=_given(s.margin), epsilon=_given(s.epsilon)),
            lambda n_bits: LossSettings(margin=1.0, epsilon=0.5),
        ),
        "dhn": ObjectiveEntry(
            lambda data, s: DHN(data, alpha=_given(s.alpha), quantization=_given(s.quantization)),
            lambda n_bits: LossSettings(alpha=10.0 / n_bits, quantization=0.1),
        ),
        "hashnet": ObjectiveEntry(
            lambda data, s: HashNet(data, alpha=s.alpha, margin=_given(s.margin)), _of_hashnet
        ),
        "hashnet-c": ObjectiveEntry(
            lambda data, s: HashNet(data, alpha=s.alpha, margin=_given(s.margin), use_jaccard=True),
            _of_hashnet,
        ),
        "hashnet-w": ObjectiveEntry(
            lambda data, s: HashNet(data, alpha=s.alpha, margin=_given(s.margin), weighted=False),
            _of_hashnet,
        ),
        "hashnet-sgn": ObjectiveEntry(
            lambda data, s: HashNetSgn(data, alpha=s.alpha, margin=_given(s.margin)), _of_hashnet
        ),
        "dpsh": ObjectiveEntry(
            lambda data, s: DPSH(data, alpha=_given(s.alpha), quantization=_given(s.quantization)),
            lambda n_bits: LossSettings(alpha=0.5, quantization=0.1),
        ),
        "greedyhash": ObjectiveEntry(
            lambda data, s: GreedyHash(data, quantization=_given(s.quantization)),
            lambda n_bits: LossSettings(quantization=0.1),
        ),
        "csq": ObjectiveEntry(
            lambda data, s: CSQ(data, quantization=_given(s.quantization)),
            lambda n_bits: LossSettings(quantization=1e-4),
        ),
        "dpn": ObjectiveEntry(
            lambda data, s: DPN(data, margin=_given(s.margin)), lambda n_bits: LossSettings(margin=0.5)
        ),
        "orthohash": ObjectiveEntry(
            lambda data, s: OrthoHash(data, margin=_given(s.margin), scale=_given(s.scale)),
            lambda n_bits: LossSettings(margin=0.4, scale=8.0),
        ),
    }
)


def complete_settings(method: str, settings: LossSettings, *, n_bits: int) -> LossSettings:
    """Return the settings with the method's defaults where None.

    Raises ValueError for a method that is not there, and for a setting that it does not take.
    """
    if method not in OBJECTIVES:
        raise ValueError(f"method must be one of {', '.join(sorted(OBJECTIVES))}, got {method!r}")
    entry = OBJECTIVES[method]
    given = {name: getattr(settings, name) for name in LossSettings.names()}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if name not in entry.takes():
            takes = ", ".join(entry.takes()) or "none of these settings"
            raise ValueError(f"{name}={value!r} is no setting of {method}, which takes {takes}; leave it out")
    return replace(entry.defaults(n_bits), **given)


def build_objective(method: str, training: TrainingSet, settings: LossSettings | None = None) -> Objective:
    """Return the objective of ``method``, the same for the same arguments; ValueError for wrong settings."""
    complete = complete_settings(method, settings or LossSettings(), n_bits=training.n_bits)
    return OBJECTIVES[method].build(training, complete)
