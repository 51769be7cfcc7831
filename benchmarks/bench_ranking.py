"""MAP@R at COCO's size against numpy, and all figures of an evaluation at ImageNet-100's: time and memory.

python -m benchmarks.bench_ranking
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import keep, provenance
from hashnet.codes import Codes
from hashnet.evaluation import evaluate, mean_average_precision, rank

# Queries that the numpy way is timed on; it is linear in their number.
NUMPY_QUERIES = 100


def sample(n: int, n_bits: int, n_classes: int, rng: np.random.Generator) -> tuple[Codes, NDArray[np.bool_]]:
    """Return codes and multi-hot labels, 3 labels an item on average, as COCO has."""
    labels = rng.random((n, n_classes)) < 3 / n_classes
    return rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8), labels


def numpy_way(
    queries: Codes, query_labels: NDArray[Any], codes: Codes, labels: NDArray[Any], at: int
) -> float:
    """Return MAP@R as the published scripts compute it: a matrix product and a sort for each query."""
    signs = np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1
    asked = np.unpackbits(queries, axis=1).astype(np.float32) * 2 - 1
    total = 0.0
    for query, wanted in zip(asked, query_labels, strict=True):
        distances = 0.5 * (signs.shape[1] - signs @ query)
        relevant = (labels @ wanted.astype(np.float32)) > 0
        top = relevant[np.argsort(distances, kind="stable")][:at]
        hits = np.flatnonzero(top)
        total += float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1))) if len(hits) else 0.0
    return total / len(queries)


# The sizes of ImageNet-100 and what a whole evaluation may take on two cores.
QUERIES, DATABASE, CLASSES, BITS, AT = 5_000, 128_503, 100, 64, 1_000
GOAL_S = 10.0


def single_labels(n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one label an item, of 100 classes."""
    labels = np.zeros((n, CLASSES), dtype=np.uint8)
    labels[np.arange(n), rng.integers(0, CLASSES, n)] = 1
    return labels


def learned(labels: NDArray[np.uint8], flipped: float, rng: np.random.Generator) -> Codes:
    """Return codes around a centre for each class, as training makes them; ``flipped`` is a share of bits."""
    centres = rng.integers(0, 256, (CLASSES, BITS // 8), dtype=np.uint8)
    noise = np.packbits(rng.random((len(labels), BITS)) < flipped, axis=1)
    codes: Codes = centres[labels.argmax(axis=1)] ^ noise
    return codes


def whole_evaluations(repeats: int, seed: int) -> dict[str, Any]:
    """Time ``evaluate`` with all its figures, intervals and classes on codes from collapsed to uniform."""
    rng = np.random.default_rng(seed)
    labels = single_labels(QUERIES + DATABASE, rng)
    kinds = {
        "uniform": rng.integers(0, 256, (len(labels), BITS // 8), dtype=np.uint8),
        "learned": learned(labels, 0.1, rng),
        "learned, tight": learned(labels, 0.01, rng),
        "collapsed": np.zeros((len(labels), BITS // 8), dtype=np.uint8),
    }
    results: dict[str, Any] = {}
    for name, codes in kinds.items():
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            figures = evaluate(codes[:QUERIES], labels[:QUERIES], codes[QUERIES:], labels[QUERIES:], at=AT)
            seconds.append(round(time.perf_counter() - began, 3))
        results[name] = {
            "seconds": seconds,
            "map_tie_aware": figures.map_tie_aware,
            "interval": [figures.intervals["map_tie_aware"].low, figures.intervals["map_tie_aware"].high],
            "map_within_2": figures.map_within,
            "resamples": figures.resamples,
            "classes": len(figures.per_class),
        }
        print(f"evaluate, {name} codes: {min(seconds):.2f} s best of {repeats}, {max(seconds):.2f} s worst")
    return results


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--database", type=int, default=112_000)
    parser.add_argument("--bits", type=int, default=48)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--at", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="ranking", help="of the result")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    codes, labels = sample(arguments.database, arguments.bits, arguments.classes, rng)
    queries, query_labels = sample(arguments.queries, arguments.bits, arguments.classes, rng)

    seconds = []
    for _ in range(arguments.repeats):
        began = time.perf_counter()
        rank(queries, query_labels, codes, labels, at=arguments.at)
        seconds.append(time.perf_counter() - began)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    few = min(NUMPY_QUERIES, arguments.queries)
    own = rank(queries[:few], query_labels[:few], codes, labels, at=arguments.at)
    began = time.perf_counter()
    literal = numpy_way(queries[:few], query_labels[:few], codes, labels.astype(np.float32), arguments.at)
    numpy_seconds = (time.perf_counter() - began) / few * arguments.queries
    difference = abs(mean_average_precision(own) - literal)

    print(f"hashnet: {min(seconds):.2f} s best of {len(seconds)}, {peak_mib:.0f} MiB peak for the process")
    print(f"numpy:   {numpy_seconds:.0f} s, from {few} queries; difference in MAP {difference:.1e}")
    evaluations = whole_evaluations(arguments.repeats, arguments.seed)
    worst = max(max(one["seconds"]) for one in evaluations.values())
    print(f"worst evaluation {worst:.2f} s, goal {GOAL_S:.0f} s: {'met' if worst <= GOAL_S else 'MISSED'}")
    result = {
        "benchmark": "ranking",
        "protocol": vars(arguments) | {"numpy_queries": few},
        "seconds": [round(value, 3) for value in seconds],
        "peak_process_mib": round(peak_mib),
        "numpy_seconds_extrapolated": round(numpy_seconds, 1),
        "map_difference_to_numpy": difference,
        "evaluation": {
            "protocol": {
                "queries": QUERIES,
                "database": DATABASE,
                "bits": BITS,
                "classes": CLASSES,
                "at": AT,
            },
            "goal_s": GOAL_S,
            "worst_s": worst,
            "peak_process_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "codes": evaluations,
        },
        **provenance(),
    }
    keep(arguments.name, result)


if __name__ == "__main__":
    main()
