"""Encoding end to end against the bare forward pass of the same network on the same cores.

python -m benchmarks.bench_encode --data pack.npz --images 1024 --workers 1 2 3 4

The images are written as tar shards and as a Parquet file, and encoded from there into a code store: read,
decoded, computed, committed with fsync. The bare forward pass computes batches that lie ready in memory, in
as many processes of one thread as there are cores, with the batch size that decides the codes. All of it
takes turns in one run, and ratios are those of the median rates. A rate is that between a fifth and nine
tenths of the images, so that neither the start of processes nor the last units count. Meanwhile the time of
the cores is divided among the processes that encode, this one, the rest of Ray, and all others.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import shutil
import sys
import tarfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import keep, provenance
from hashnet.allocator import keep_freed_memory

SHARDS = 4
FROM, TO = 0.2, 0.9


def core_seconds() -> dict[str, float]:
    """Return the seconds of all cores so far, by who had them; a process that ended is nobody's."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = dict.fromkeys(("this process", "workers", "the rest of Ray", "other processes"), 0.0)
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").strip()
            stat = (path / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        if path.name == str(os.getpid()):
            who = "this process"
        elif words.startswith(b"ray::UnitWorker"):
            who = "workers"
        elif b"ray" in words:
            who = "the rest of Ray"
        else:
            who = "other processes"
        user, system = stat.rpartition(")")[2].split()[11:13]
        found[who] += (int(user) + int(system)) / ticks
    return found


class Clock:
    """A progress that remembers when how many images were done, and who had the cores meanwhile."""

    def __init__(self) -> None:
        self.total = 0
        self.times = [time.perf_counter()]
        self.done = [0]
        self._marks: list[tuple[float, dict[str, float]]] = []

    def start(self, what: str, total: int | None) -> None:
        """Begin."""
        self.total = total or 0

    def advance(self, done: int = 1, **figures: float) -> None:
        """Note the time."""
        if done:
            self.times.append(time.perf_counter())
            self.done.append(self.done[-1] + done)
            if self.done[-1] >= (FROM, TO, 2.0)[len(self._marks)] * self.total:
                self._marks.append((self.times[-1], core_seconds()))

    def finish(self) -> None:
        """End."""

    def rate(self) -> float:
        """Return images a second in the middle of the job."""
        a = next(i for i, n in enumerate(self.done) if n >= FROM * self.total)
        b = next(i for i, n in enumerate(self.done) if n >= TO * self.total)
        return (self.done[b] - self.done[a]) / (self.times[b] - self.times[a])

    def cores(self) -> dict[str, float]:
        """Return how many cores each had, on average, in the middle of the job."""
        (begin, before), (end, after) = self._marks
        return {who: (after[who] - before[who]) / (end - begin) for who in after}

    def whole_rate(self) -> float:
        """Return images a second with everything that comes before the first image."""
        return self.total / (self.times[-1] - self.times[0])


def make_model(folder: Path, backbone: str, size: int) -> Path:
    """Write an untrained model of 64 bits, unless it is there; its speed is that of a trained one."""
    import torch

    from hashnet.models import NetworkConfig, Preprocessing, build_network, save_model

    path = folder / f"model_{backbone}_{size}"
    if not (path / "config.json").exists():
        network = build_network(
            NetworkConfig(backbone, 64), weights=None, generator=torch.Generator().manual_seed(0)
        )
        save_model(path, network, Preprocessing(size, size * 8 // 7), classes=[], seed=0, metrics={})
    return path


def make_streams(folder: Path, data: str, n: int) -> dict[str, Path]:
    """Write the first ``n`` images of ``data`` (again from the first after the last) as streams."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hashnet.datasets import open_images

    images = open_images(data)
    tars, parquet = folder / "tar", folder / "images.parquet"
    for path in (tars, parquet):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    tars.mkdir()
    files = []
    for i in range(n):
        file = io.BytesIO()
        images.load(i % len(images)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    for shard in range(SHARDS):
        with tarfile.open(tars / f"{shard:06d}.tar", "w") as tar:
            for i in range(n * shard // SHARDS, n * (shard + 1) // SHARDS):
                info = tarfile.TarInfo(f"{i:08d}.jpg")
                info.size = len(files[i])
                tar.addfile(info, io.BytesIO(files[i]))
    pq.write_table(pa.table({"key": [f"{i:08d}" for i in range(n)], "jpg": files}), parquet)
    return {"tar": tars, "parquet": parquet}


def forward_once(model_dir: str, seconds: float, ready: Any, go: Any, results: Any) -> None:
    """Compute batches for ``seconds`` on one thread and send how many images a second they were."""
    keep_freed_memory()
    import torch

    from hashnet.encoding.encoder import CPU_BATCH
    from hashnet.models import load_model

    torch.set_num_threads(1)
    model = load_model(model_dir)
    size = model.preprocessing.size
    batch = torch.from_numpy(np.random.default_rng(0).normal(size=(CPU_BATCH, 3, size, size)).astype("f4"))
    with torch.inference_mode():
        model.network(batch)
        ready.release()
        go.wait()
        began, n = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            model.network(batch)
            n += CPU_BATCH
        results.put(n / (time.perf_counter() - began))


def bare_forward(model_dir: Path, processes: int, seconds: float) -> float:
    """Return images a second of the forward pass alone, all processes together."""
    context = multiprocessing.get_context("spawn")
    ready, go, results = context.Semaphore(0), context.Event(), context.Queue()
    running = [
        context.Process(target=forward_once, args=(str(model_dir), seconds, ready, go, results))
        for _ in range(processes)
    ]
    for process in running:
        process.start()
    for _ in running:
        ready.acquire()
    go.set()
    rates = [results.get() for _ in running]
    for process in running:
        process.join()
    return float(sum(rates))


def encode_local(model: Path, data: Path, output: Path, *, unit_size: int, threads: int) -> Clock:
    """Encode in this process."""
    from hashnet.datasets import open_source
    from hashnet.encoding import encode_to_store

    shutil.rmtree(output, ignore_errors=True)
    clock = Clock()
    encode_to_store(
        model, open_source(data), None, output, unit_size=unit_size, threads=threads, progress=clock
    )
    return clock


def encode_ray(model: Path, data: Path, output: Path, *, unit_size: int, workers: int) -> Clock:
    """Encode with workers of one thread on the Ray that runs."""
    from hashnet.distributed import encode_with_ray

    shutil.rmtree(output, ignore_errors=True)
    clock = Clock()
    encode_with_ray(model, data, output, unit_size=unit_size, workers=workers, progress=clock)
    return clock


def stage_ms(model_dir: Path, data: Path, n: int = 64) -> dict[str, float]:
    """Return the milliseconds an image of each stage before the network, one thread."""
    from hashnet.datasets import open_source
    from hashnet.models import load_model

    preprocessing = load_model(model_dir).preprocessing
    stream: Any = open_source(data)
    n = min(n, len(stream))
    took: dict[str, float] = {}
    began = time.perf_counter()

    def stage(name: str) -> None:
        nonlocal began
        took[name] = round((time.perf_counter() - began) / n * 1e3, 4)
        began = time.perf_counter()

    entries = list(stream.part(0, n).entries())
    stage("read")
    images = [entry.load() for entry in entries]
    stage("decode")
    pixels = [preprocessing.pixels(image) for image in images]
    stage("resize and crop")
    for one in pixels:
        preprocessing.normalize(one)
    stage("normalise")
    return took


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="digits", help="image set to take the images from")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--unit-size", type=int, default=32)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each bare forward pass")
    parser.add_argument("--scratch", type=Path, default=Path("bench_scratch"))
    parser.add_argument("--name", help="of the result; default: encode_BACKBONE_SIZE")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    # Ray's workers give way to everything else, and what else runs would be taken for their cost.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - this is its name
    keep_freed_memory()
    from hashnet.distributed import ray_cluster

    folder = arguments.scratch.resolve() / "encode"
    folder.mkdir(parents=True, exist_ok=True)
    model = make_model(folder, arguments.backbone, arguments.size)
    streams = make_streams(folder, arguments.data, arguments.images)
    cores = len(os.sched_getaffinity(0))
    output, unit = folder / "codes", arguments.unit_size
    ways = {
        f"local, tar, {cores} threads": partial(
            encode_local, model, streams["tar"], output, unit_size=unit, threads=cores
        ),
        f"Ray, tar, {cores} workers": partial(
            encode_ray, model, streams["tar"], output, unit_size=unit, workers=cores
        ),
        f"Ray, Parquet, {cores} workers": partial(
            encode_ray, model, streams["parquet"], output, unit_size=unit, workers=cores
        ),
    }
    bare: list[float] = []
    rates: dict[str, list[float]] = {way: [] for way in ways}
    whole: dict[str, list[float]] = {way: [] for way in ways}
    cores_had: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    one_core, by_workers = [], {}
    with ray_cluster(cpus=cores):
        for _ in range(arguments.rounds):
            for way, encode in ways.items():
                bare.append(bare_forward(model, cores, arguments.seconds))
                clock = encode()
                rates[way].append(clock.rate())
                whole[way].append(clock.whole_rate())
                cores_had[way].append(clock.cores())
                print(f"{way:48} {rates[way][-1]:8.1f} images/s, bare {bare[-1]:8.1f}", flush=True)
        for workers in arguments.workers:
            one_core.append(bare_forward(model, 1, arguments.seconds))
            clock = encode_ray(model, streams["tar"], output, unit_size=unit, workers=workers)
            by_workers[workers] = clock.rate()
            print(f"{workers} workers {by_workers[workers]:8.1f} images/s, a core alone {one_core[-1]:8.1f}")
    forward, core = float(np.median(bare)), float(np.median(one_core))
    rows = [
        {
            "way": way,
            "images_a_second": round(float(np.median(rates[way])), 2),
            "all": [round(rate, 2) for rate in rates[way]],
            "of_the_bare_forward_pass": round(float(np.median(rates[way])) / forward, 3),
            "with_the_start_of_processes": round(float(np.median(whole[way])), 2),
            "cores": {
                who: round(float(np.median([one[who] for one in cores_had[way]])), 3)
                for who in cores_had[way][0]
            },
        }
        for way in ways
    ]
    scaling = [
        {
            "workers": workers,
            "images_a_second": round(rate, 2),
            "of_the_bare_forward_pass": round(rate / (forward if workers >= cores else core * workers), 3),
        }
        for workers, rate in by_workers.items()
    ]
    result = {
        "benchmark": "encode",
        "protocol": {
            "data": Path(arguments.data).name,
            "images": arguments.images,
            "unit_size": unit,
            "backbone": arguments.backbone,
            "size": arguments.size,
            "bits": 64,
            "rounds": arguments.rounds,
            "rate": f"between {FROM:g} and {TO:g} of the images",
        },
        **provenance(("torch", "ray", "pillow", "pyarrow")),
        "bare_forward_images_a_second": {
            "all cores, one process each": round(forward, 2),
            "all": [round(rate, 2) for rate in bare],
            "one core alone": round(core, 2),
        },
        "ms_an_image_before_the_network": {name: stage_ms(model, path) for name, path in streams.items()},
        "encode": rows,
        "workers": scaling,
    }
    json.dump({"encode": rows, "workers": scaling}, sys.stdout, indent=1)
    print()
    keep(arguments.name or f"encode_{arguments.backbone}_{arguments.size}", result)


if __name__ == "__main__":
    main()
