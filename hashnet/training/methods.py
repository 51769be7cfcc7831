"""Every method by name, with its paper, and one call that fits any of them to given features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashnet import baselines
from hashnet.baselines.checks import label_rows
from hashnet.codes import Codes, check_n_bits
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.head import HeadSettings, check_features, train_head


class Fitted(Protocol):
    """A method that has learned."""

    def encode(self, features: Any, /) -> Codes:
        """Return the packed codes of features ``(n, n_features)``."""


@dataclass(frozen=True)
class Method:
    """A method: ``shallow`` ones are classic, the others train a network.

    ``supervised`` ones learn from labels; of these only BRE can do without (``needs_labels``).
    """

    name: str
    title: str
    paper: str
    supervised: bool
    shallow: bool
    needs_labels: bool


def _shallow(name: str, title: str, paper: str, *, supervised: bool = True) -> Method:
    return Method(name, title, paper, supervised, shallow=True, needs_labels=supervised and name != "bre")


def _deep(name: str, title: str, paper: str) -> Method:
    return Method(name, title, paper, supervised=True, shallow=False, needs_labels=True)


_HASHNET = "Cao, Long, Wang, Yu: HashNet: deep learning to hash by continuation; ICCV 2017"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            _shallow(
                "lsh",
                "LSH",
                "Charikar: Similarity estimation techniques from rounding algorithms; STOC 2002",
                supervised=False,
            ),
            _shallow("sh", "SH", "Weiss, Torralba, Fergus: Spectral hashing; NIPS 2008", supervised=False),
            _shallow(
                "itq",
                "ITQ",
                "Gong, Lazebnik: Iterative quantization: a Procrustean approach to learning binary codes; "
                "CVPR 2011",
                supervised=False,
            ),
            _shallow(
                "itq-cca",
                "ITQ-CCA",
                "Gong, Lazebnik: Iterative quantization: a Procrustean approach to learning binary codes; "
                "CVPR 2011",
            ),
            _shallow("ksh", "KSH", "Liu, Wang, Ji, Jiang, Chang: Supervised hashing with kernels; CVPR 2012"),
            _shallow("sdh", "SDH", "Shen, Shen, Liu, Shen: Supervised discrete hashing; CVPR 2015"),
            _shallow(
                "bre",
                "BRE",
                "Kulis, Darrell: Learning to hash with binary reconstructive embeddings; NIPS 2009",
            ),
            _deep(
                "cnnh",
                "CNNH",
                "Xia, Pan, Lai, Liu, Yan: Supervised hashing for image retrieval via image representation "
                "learning; AAAI 2014",
            ),
            _deep(
                "dnnh",
                "DNNH",
                "Lai, Pan, Liu, Yan: Simultaneous feature learning and hash coding with deep neural "
                "networks; CVPR 2015",
            ),
            _deep(
                "dhn",
                "DHN",
                "Zhu, Long, Wang, Cao: Deep hashing network for efficient similarity retrieval; AAAI 2016",
            ),
            _deep("hashnet", "HashNet", _HASHNET),
            _deep("hashnet-c", "HashNet+C", _HASHNET),
            _deep("hashnet-w", "HashNet-W", _HASHNET),
            _deep("hashnet-sgn", "HashNet-sgn", _HASHNET),
            _deep(
                "dpsh",
                "DPSH",
                "Li, Wang, Kang: Feature learning based deep supervised hashing with pairwise labels; "
                "IJCAI 2016",
            ),
            _deep(
                "greedyhash",
                "GreedyHash",
                "Su, Zhang, Han, Tian: Greedy hash: towards fast optimization for accurate hash coding in "
                "CNN; NeurIPS 2018",
            ),
            _deep(
                "csq",
                "CSQ",
                "Yuan, Wang, Zhang, Tay, Jie, Liu, Feng: Central similarity quantization for efficient image "
                "and video retrieval; CVPR 2020",
            ),
            _deep(
                "dpn",
                "DPN",
                "Fan, Ng, Ju, Zhang, Chan: Deep polarized network for supervised learning of accurate binary "
                "hashing codes; IJCAI 2020",
            ),
            _deep(
                "orthohash",
                "OrthoHash",
                "Hoe, Ng, Zhang, Chan, Song, Xiang: One loss for all: deep hashing with a single cosine "
                "similarity based learning objective; NeurIPS 2021",
            ),
        )
    }
)
"""In the order of publication within shallow and deep, HashNet's variants together."""

_SHALLOW: Mapping[str, type[baselines.FeatureHash]] = MappingProxyType(
    {
        "lsh": baselines.LSH,
        "sh": baselines.SH,
        "itq": baselines.ITQ,
        "itq-cca": baselines.ITQCCA,
        "ksh": baselines.KSH,
        "sdh": baselines.SDH,
        "bre": baselines.BRE,
    }
)


def fit_features(
    name: str,
    features: NDArray[Any],
    labels: NDArray[Any] | None,
    *,
    n_bits: int,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = NO_PROGRESS,
) -> Fitted:
    """Fit the method ``name`` to features ``(n, n_features)``: real, finite, one row an item.

    ``labels`` are multi-hot ``(n, n_classes)`` or class numbers ``(n,)``; None does for methods that need
    none, and the unsupervised ones do not look at them. A deep method trains a head (``train_head``).
    ``settings`` are those of ``HeadSettings``, or of the classic method's constructor, by name: a name that
    the method does not have is refused. The same arguments give the same codes, on one machine with one
    number of threads.

    Raises ValueError for an unknown method, missing labels or wrong settings, and what the method raises.
    """
    method = METHODS.get(name)
    if method is None:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {name!r}")
    check_n_bits(n_bits)
    given = dict(settings or {})
    if taken := sorted({"n_bits", "seed"} & set(given)):
        raise ValueError(f"{', '.join(taken)}: given as an argument, not among the settings")
    if labels is None and method.needs_labels:
        raise ValueError(f"{method.title} learns from labels, and got none; give labels, or take lsh or itq")
    values = check_features(features)
    if method.shallow:
        return _fit_shallow(method, values, labels, n_bits=n_bits, seed=seed, settings=given)
    return train_head(
        values,
        label_rows(labels, len(values), name=method.title),
        name,
        n_bits=n_bits,
        seed=seed,
        settings=HeadSettings.of(given),
        progress=progress,
    )


def _fit_shallow(
    method: Method,
    values: NDArray[np.float32],
    labels: NDArray[Any] | None,
    *,
    n_bits: int,
    seed: int,
    settings: dict[str, Any],
) -> Fitted:
    estimator = _SHALLOW[method.name](n_bits, seed=seed)
    names = sorted(set(estimator.get_params()) - {"n_bits", "seed"})
    if unknown := sorted(set(settings) - set(names)):
        has = ", ".join(names) or "none"
        raise ValueError(f"{', '.join(unknown)}: no setting of {method.title}, which has {has}")
    estimator.set_params(**settings)
    return estimator.fit(values, labels if method.supervised else None)
