"""The demonstration: real images, every part of hashnet once, every answer checked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hashnet.cli.protocol import Measured, measure_codes
from hashnet.cli.timing import Timing, measure
from hashnet.datasets import ImageSet, open_images, split
from hashnet.encoding import build_index
from hashnet.evaluation import CrosscheckReport, crosscheck
from hashnet.index import Index, open_index
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.results import Neighbors

DATA = "digits"
K = 10
RADIUS = 2
SHARDS = 2
# Small enough that every worker gets some of the few images.
UNIT_SIZE = 256
# A folder with this file in it is ours to replace; any other is left alone.
MARK = ".hashnet-demo"


@dataclass
class Demonstration:
    """What was done and found: ``steps`` as (what, details, seconds), ``timings`` by (index, question)."""

    images: ImageSet
    measured: Measured
    nearest: Neighbors
    checks: dict[str, CrosscheckReport] = field(default_factory=dict)
    timings: dict[tuple[str, str], Timing] = field(default_factory=dict)
    steps: list[tuple[str, str, float]] = field(default_factory=list)

    @property
    def n_compared(self) -> int:
        """Answers that were compared with another system's."""
        return sum(one.n_compared for check in self.checks.values() for one in check.comparisons)

    @property
    def n_mismatches(self) -> int:
        """Answers that differed."""
        return sum(check.n_mismatches for check in self.checks.values())


class Steps:
    """Notes what was done and how long it took."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, float]] = []

    @contextmanager
    def __call__(self, what: str, details: str) -> Iterator[None]:
        """Time the block as a step."""
        began = time.perf_counter()
        yield
        self.done.append((what, details, time.perf_counter() - began))


def prepare(output: Path) -> None:
    """Make ``output`` a fresh demo folder; FileExistsError for one that holds anything else than a demo."""
    if output.is_dir() and any(output.iterdir()) and not (output / MARK).exists():
        raise FileExistsError(
            f"{output} holds files that are not of a demo, and they could be overwritten; "
            "choose another --output"
        )
    output.mkdir(parents=True, exist_ok=True)
    (output / MARK).touch()
    for name in ("model", "codes", "digits.hnx"):
        shutil.rmtree(output / name, ignore_errors=True)
    for name in ("report.html", "figures.json"):
        (output / name).unlink(missing_ok=True)


def demonstrate(
    output: Path, *, seed: int, n_bits: int, workers: int, progress: Progress = NO_PROGRESS
) -> Demonstration:
    """Train, encode with Ray, build an index, search it through shards, cross-check, evaluate.

    Model, codes and index go to ``output``. Whatever goes wrong is raised; what Ray was started for this
    ends with the call.
    """
    from hashnet.distributed.authentication import demand_token

    # Ray reads this when it is imported, which the next line does.
    demand_token()
    from hashnet.distributed import ShardedIndex, encode_with_ray, ray_cluster
    from hashnet.encoding import EncodedRows, Encoder
    from hashnet.evaluation.reference import load_faiss
    from hashnet.training import TrainConfig, train

    # Found missing only at the cross-check, all the work before it would be lost.
    load_faiss()
    images = open_images(DATA)
    parts = split(images, seed=seed)
    model, codes, path = output / "model", output / "codes", output / "digits.hnx"
    step = Steps()
    with step("train", f"HashNet, {n_bits} bits, {len(parts.database):,} images, β raised until tanh is sgn"):
        config = TrainConfig(backbone="small_cnn", n_bits=n_bits, seed=seed)
        train(images, parts.database, config, output=model, overwrite=True, progress=progress)
    encoder = Encoder.load(model)
    with ExitStack() as stack:
        with step("start Ray", "a local one, without dashboard"):
            progress.start("start Ray", None)
            stack.enter_context(ray_cluster())
            progress.finish()
        with step("encode", f"{len(parts.database):,} images by {workers} Ray workers, into a code store"):
            store = encode_with_ray(
                model,
                DATA,
                codes,
                indices=parts.database,
                workers=workers,
                unit_size=UNIT_SIZE,
                progress=progress,
            )
            database = EncodedRows(store.codes(), store.ids(), store.keys(), [])
        with step("encode queries", f"{len(parts.query):,} images that training never saw"):
            progress.start("encode queries", len(parts.query))
            query = encoder.encode_image_set(images, parts.query, progress=progress)
            progress.finish()
        with step("build", f"a native index of {SHARDS} segments on disk"):
            build_index(store, path, segments=SHARDS, progress=progress)
        with step("open", f"the index as one, and as {SHARDS} shards in Ray actors"):
            progress.start("open shards", None)
            one = stack.enter_context(open_index(path))
            sharded = stack.enter_context(ShardedIndex.open(path, shards=SHARDS))
            progress.finish()
        with step("evaluate", "MAP, precision within a radius, precision-recall"):
            measured = measure_codes(encoder, images, database, query, seed=seed, progress=progress)
        result = Demonstration(images, measured, one.search(query.codes, K), steps=step.done)
        systems: dict[str, Index | ShardedIndex] = {"index": one, f"{SHARDS} shards on Ray": sharded}
        with step("cross-check", f"every answer (k={K}, radius={RADIUS}) against FAISS and a linear scan"):
            for name, system in systems.items():
                result.checks[name] = crosscheck(
                    system,
                    database.codes,
                    database.ids,
                    query.codes,
                    radius=RADIUS,
                    k=K,
                    progress=progress,
                )
        with step("time", "each query alone, and all at once"):
            progress.start("time", 2 * len(systems))
            for name, system in systems.items():
                result.timings[name, f"k={K}"] = measure(partial(system.search, k=K), query.codes)
                progress.advance()
                result.timings[name, f"radius={RADIUS}"] = measure(
                    partial(system.search_radius, radius=RADIUS), query.codes
                )
                progress.advance()
            progress.finish()
    return result
