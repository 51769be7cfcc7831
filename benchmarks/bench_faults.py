"""What faults do to answers: Ray nodes on one machine, two replicas of each shard, under load.

    python -m benchmarks.bench_faults                       every fault, 6 to 8 minutes
    python -m benchmarks.bench_faults --faults node head    some of them; results of the others are kept

Clients ask all the time and compare every answer with a linear scan in numpy, so a partial answer that is not
marked counts as wrong. A fault happens after some seconds; then every shard gets all its replicas back, and
is asked for some seconds more, and until enough has been asked. The head keeps its state in an embedded
RocksDB (RAY_gcs_storage), so that it can be killed and come back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import provenance, workloads
from benchmarks.loading import Load, Oracle
from benchmarks.plots_faults import draw_faults
from benchmarks.scanning import scan
from hashnet import Index

N, N_BITS, K, RADIUS, SEED = 200_000, 64, 10, 8, 3
POOL = 512
NODES, SHARDS, REPLICAS, SEGMENTS = 3, 2, 2, 4
TIMEOUT_S = 10.0
LEAST_SUCCESS = 0.999
# What is asked around each fault: "at least 1e5 queries" holds on a slow machine too.
LEAST_QUERIES = 100_000
LONGEST_LOAD_S = 120.0
PROBE_EVERY_S, SUSPECT_AFTER_S, DEAD_AFTER_S, SCRUB_EVERY_S = 1.0, 1.0, 5.0, 2.0
# A replica that just falls silent is noticed within a probe and what it may take, and a busy machine more.
CALM_S = PROBE_EVERY_S + SUSPECT_AFTER_S + 1.5
SLOW_S = 6.0


@dataclass
class Stage:
    """What a fault can get hold of."""

    cluster: Any
    index: Any
    copy: Path
    other: Path
    notes: dict[str, Any] = field(default_factory=dict)

    def replicas(self) -> list[Any]:
        """Return the health of all replicas, the first of each shard first."""
        shards = self.index.health()
        return [one for at in range(REPLICAS) for shard in shards for one in shard.replicas[at : at + 1]]

    def whole(self) -> bool:
        """Whether every shard has all its replicas, and none of them is silent."""
        return all(
            len(shard.replicas) >= REPLICAS and all(one.condition == "alive" for one in shard.replicas)
            for shard in self.index.health()
        )


def kill_replica(stage: Stage) -> None:
    """kill -9 of one replica."""
    os.kill(stage.replicas()[0].pid, signal.SIGKILL)


def kill_node(stage: Stage) -> None:
    """kill -9 of every process of one node that has replicas; a new node joins afterwards."""
    victim = stage.replicas()[0].node
    node = next(one for one in stage.cluster.worker_nodes if one.node_id == victim)
    stage.notes["replicas on the node"] = sum(one.node == victim for one in stage.replicas())
    for pid in with_descendants(node.all_processes["raylet"][0].process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stage.cluster.worker_nodes.discard(node)


def with_descendants(pid: int) -> list[int]:
    """Return a process and all that it started, directly or not."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may have blanks.
            after_name = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            parents.setdefault(int(after_name[1]), []).append(int(status.parent.name))
    family = [pid]
    for one in family:
        family += parents.get(one, [])
    return family


def stop_replica(stage: Stage) -> None:
    """SIGSTOP of one replica: its connections stay open, it just never answers."""
    os.kill(stage.replicas()[0].pid, signal.SIGSTOP)


def slow_replica(stage: Stage) -> None:
    """One replica gets a tenth of the time, 100 ms in 110 it stands still, for some seconds."""
    pid = stage.replicas()[0].pid
    end = time.monotonic() + SLOW_S
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)


def corrupt_segment(stage: Stage) -> None:
    """Bytes of every segment of one copy are flipped, and a replica that opened it is killed.

    It was preloaded, so its answers stay right; started again, it reads the damaged copy.
    """
    for segment in sorted((stage.copy / "segments").glob("*.seg")):
        flip(segment)
    victim = next(one for one in stage.replicas() if one.path == str(stage.copy))
    os.kill(victim.pid, signal.SIGKILL)
    seen: set[str] = set()
    end = time.monotonic() + 20.0
    while time.monotonic() < end and not (seen and stage.whole()):
        seen |= {one.reason for one in stage.replicas() if one.condition == "damaged"}
        time.sleep(0.005)
    stage.notes["found damaged"] = sorted(reason.replace(str(stage.copy), "COPY") for reason in seen)


def rot(stage: Stage) -> None:
    """Bytes of one copy are flipped under the replicas that have it mapped; scrubbing has to find it.

    This is the one fault under which answers may be wrong, until it is found: what a map shows is what the
    file holds, and nothing in an answer tells. Preloaded replicas are safe.
    """
    struck = time.monotonic()
    for segment in sorted((stage.copy / "segments").glob("*.seg")):
        flip(segment)
    rotten = {one.pid for one in stage.replicas() if one.path == str(stage.copy)}
    while rotten & {one.pid for one in stage.replicas() if one.condition == "alive"}:
        time.sleep(0.01)
    stage.notes["rotten replicas out after s"] = round(time.monotonic() - struck, 2)


def flip(segment: Path, every: int = 4096) -> None:
    """Flip one byte of every page of a file, in place, after the page of the header."""
    content = np.memmap(segment, mode="r+")
    content[every + 7 :: every] ^= 255
    content.flush()


def restart_head(stage: Stage) -> None:
    """kill -9 of the head's control service, which starts again 5 s later; in between a replica is killed.

    That replica can only come back when the head is back.
    """
    head = stage.cluster.head_node
    head.all_processes["gcs_server"][0].process.send_signal(signal.SIGKILL)
    head.kill_gcs_server(check_alive=False)
    time.sleep(2.5)
    os.kill(stage.replicas()[0].pid, signal.SIGKILL)
    time.sleep(2.5)
    head.start_gcs_server()


def swap_version(stage: Stage) -> None:
    """The same codes in other segments are swapped in: no fault, and no question may notice."""
    stage.index.swap(stage.other)


def move_replicas(stage: Stage) -> None:
    """Every replica moves to another node, and a third one of a shard comes and goes: no fault either."""
    for shard in range(SHARDS):
        for one in stage.index.health()[shard].replicas:
            stage.index.move_replica(shard, one.number)
    extra = stage.index.add_replica(0)
    stage.index.remove_replica(0, extra)


FAULTS: dict[str, Callable[[Stage], None]] = {
    "replica": kill_replica,
    "node": kill_node,
    "stopped": stop_replica,
    "slow": slow_replica,
    "corrupted": corrupt_segment,
    "rot": rot,
    "head": restart_head,
    "swap": swap_version,
    "move": move_replicas,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--quiet-s", type=float, default=6.0, help="seconds of load before and after a fault")
    parser.add_argument("--work", type=Path, help="folder for the index (default: a temporary one)")
    parser.add_argument("--results", type=Path, default=provenance.RESULTS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hashnet-faults-", dir=arguments.work))
    failed = []
    try:
        oracle = prepare(folder)
        with cluster_of(NODES, folder / "gcs") as cluster:
            for fault in arguments.faults:
                figures = suffer(fault, cluster, oracle, folder, arguments.quiet_s)
                keep(fault, figures, arguments.results)
                print(json.dumps({fault: {**figures, "timeline": "..."}}, indent=1), flush=True)
                if figures["queries"] < LEAST_QUERIES:
                    failed.append(f"{fault} (only {figures['queries']:,} queries)")
                elif fault != "rot" and (figures["wrong"] or figures["success"] < LEAST_SUCCESS):
                    failed.append(fault)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if failed:
        raise SystemExit(f"wrong or failed answers, or too few, under: {', '.join(failed)}")


def keep(fault: str, figures: dict[str, Any], folder: Path) -> None:
    """Store the figures of one fault beside those of the others, and draw them all."""
    stored = folder / "faults.json"
    faults = json.loads(stored.read_text(encoding="utf-8"))["faults"] if stored.exists() else {}
    origin = provenance.provenance(("numpy", "ray"))
    faults[fault] = {**figures, "commit": origin["commit"], "dirty": origin["dirty"]}
    faults = {name: faults[name] for name in FAULTS if name in faults}
    totals = {
        what: sum(one[what] for name, one in faults.items() if name != "rot")
        for what in ("queries", "questions", "wrong", "incomplete", "other errors")
    }
    result = {
        "protocol": {
            "nodes": NODES,
            "shards": SHARDS,
            "replicas": REPLICAS,
            "codes": N,
            "n_bits": N_BITS,
            "k": K,
            "radius": RADIUS,
            "seed": SEED,
            "timeout_s": TIMEOUT_S,
            "hedge": "auto",
            "gcs_storage": "rocksdb",
            "probe_every_s": PROBE_EVERY_S,
            "suspect_after_s": SUSPECT_AFTER_S,
            "dead_after_s": DEAD_AFTER_S,
            "scrub_every_s": SCRUB_EVERY_S,
            "least_queries": LEAST_QUERIES,
        },
        "totals without rot": totals,
        "faults": faults,
        **origin,
    }
    path = provenance.keep("faults", result, folder=folder)
    draw_faults(result, path.with_suffix(".svg"))


def prepare(folder: Path) -> Oracle:
    """Build the index, a copy of it, and one of the same codes cut otherwise; return the right answers."""
    work = workloads.make("clustered", N, N_BITS, POOL, seed=SEED)
    for name, segments in (("codes.hnx", SEGMENTS), ("other.hnx", SEGMENTS + 1)):
        with Index.create(folder / name, n_bits=N_BITS) as index:
            for part in np.array_split(work.codes, segments):
                index.add(part)
    nearest, balls = scan(work.queries, work.codes, k=K, radius=RADIUS)
    return Oracle(work.queries, K, RADIUS, nearest, balls)


@contextlib.contextmanager
def cluster_of(nodes: int, store: Path) -> Iterator[Any]:
    """A head that takes no replicas, and ``nodes`` that do; this process is on the head's node."""
    store.mkdir()
    os.environ.update(
        {"RAY_USAGE_STATS_ENABLED": "0", "RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(store)}
    )
    import logging

    import ray
    from ray.cluster_utils import Cluster

    memory = 80 << 20
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": memory, "include_dashboard": False},
    )
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=2, object_store_memory=memory)
        ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def suffer(fault: str, cluster: Any, oracle: Oracle, folder: Path, quiet_s: float) -> dict[str, Any]:
    """Return what a fault did to the answers."""
    from hashnet.distributed import ShardedIndex, Watch

    while len(cluster.worker_nodes) < NODES:
        cluster.add_node(num_cpus=2, object_store_memory=80 << 20)
    copy = shutil.copytree(folder / "codes.hnx", folder / f"copy-{fault}.hnx")
    watch = Watch(
        probe_every_s=PROBE_EVERY_S,
        suspect_after_s=SUSPECT_AFTER_S,
        dead_after_s=DEAD_AFTER_S,
        scrub_every_s=SCRUB_EVERY_S,
    )
    with ShardedIndex.open(
        folder / "codes.hnx",
        copies=[copy],
        shards=SHARDS,
        replicas=REPLICAS,
        preload=fault != "rot",
        timeout_s=TIMEOUT_S,
        watch=watch,
    ) as index:
        stage = Stage(cluster, index, copy, folder / "other.hnx")
        load = Load(index, oracle)
        load.start()
        time.sleep(quiet_s)
        struck = time.monotonic()
        broken = _watch_wholeness(stage)
        FAULTS[fault](stage)
        whole_after = broken(struck)
        time.sleep(quiet_s)
        load.wait_for(LEAST_QUERIES, limit_s=LONGEST_LOAD_S)
        load.stop()
    return summarise(load, struck, whole_after, stage.notes, FAULTS[fault].__doc__ or "")


def _watch_wholeness(stage: Stage) -> Callable[[float], float]:
    """Watch the replicas from now on; what is returned waits until all are there, and tells since when."""
    times: list[float] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            if not stage.whole():
                times.append(time.monotonic())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()

    def wait(struck: float) -> float:
        # A fault may take a moment to show; calm for long enough is the end of it.
        end = time.monotonic() + 90.0
        calm_since = max(time.monotonic(), struck)
        while time.monotonic() - calm_since < CALM_S:
            if times and times[-1] > calm_since:
                calm_since = times[-1]
            if time.monotonic() > end:
                raise RuntimeError(f"the replicas did not all come back: {stage.index.health()}")
            time.sleep(0.05)
        stop.set()
        thread.join()
        return round(times[-1] - struck, 2) if times else 0.0

    return wait


def summarise(
    load: Load, struck: float, whole_after: float, notes: dict[str, Any], what: str
) -> dict[str, Any]:
    """Return the figures of one fault: outcomes, latencies before, during and after, and a timeline."""
    rows = load.rows()
    at, took, outcome = rows[:, 0] - struck, rows[:, 1], rows[:, 2]
    during_s = max(whole_after, 2.0)
    before = at + took < 0
    after = at >= during_s
    usual = np.percentile(took[before], 99)
    late = at[(took > 3 * usual) & (at + took >= 0)] + took[(took > 3 * usual) & (at + took >= 0)]
    failures = at[outcome >= 2]
    return {
        "fault": " ".join(what.split()),
        "questions": len(rows),
        "queries": len(rows) * load.batch,
        "wrong": int((outcome == 1).sum()),
        "incomplete": int((outcome == 2).sum()),
        "other errors": int((outcome == 3).sum()),
        "success": round(float((outcome == 0).mean()), 6),
        "errors": sorted(set(load.errors))[:3],
        "all replicas back after s": whole_after,
        "last failure after s": round(float(failures.max()), 2) if len(failures) else None,
        "questions of over 3 times the p99 before": len(late),
        "last of them ended after s": round(float(late.max()), 2) if len(late) else None,
        "ms": {
            name: _latencies(took[part])
            for name, part in (("before", before), ("during", ~before & ~after), ("after", after))
        },
        "notes": notes,
        "timeline": _timeline(at, took, outcome),
    }


def _latencies(took: NDArray[np.float64]) -> dict[str, float]:
    if not len(took):
        return {}
    levels = {"p50": 50, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: round(float(np.percentile(took, level)) * 1e3, 2) for name, level in levels.items()}


def _timeline(
    at: NDArray[np.float64], took: NDArray[np.float64], outcome: NDArray[np.float64]
) -> list[list[float]]:
    """Return begin, questions, p50 and p99 in ms, and failures of every quarter of a second."""
    bins = np.floor(at * 4).astype(int)
    return [
        [one / 4, int((bins == one).sum())]
        + [round(float(np.percentile(took[bins == one], level)) * 1e3, 2) for level in (50, 99)]
        + [int((outcome[bins == one] > 0).sum())]
        for one in np.unique(bins)
    ]


if __name__ == "__main__":
    main()
