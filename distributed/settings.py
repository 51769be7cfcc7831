"""How an index is served: replicas, threads, bounds; checked once, no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .pace import HedgeAfter, check_hedge
from .placement import check_replicas
from .replicas import Watch

DEFAULT_WATCH = Watch()


@dataclass(frozen=True)
class Settings:
    """What ``ShardedIndex.open`` was told, whatever version it serves; raises TypeError or ValueError."""

    replicas: int
    threads: int
    cpus: float
    timeout_s: float | None
    hedge_after_s: HedgeAfter
    watch: Watch

    def __post_init__(self) -> None:
        check_replicas(self.replicas)
        if isinstance(self.threads, bool) or not isinstance(self.threads, int):
            raise TypeError(f"threads must be an int, got {type(self.threads).__name__}")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if not self.cpus >= 0:
            raise ValueError(f"cpus_per_shard must be at least 0, got {self.cpus}")
        check_timeout(self.timeout_s)
        check_hedge(self.hedge_after_s)
        if not isinstance(self.watch, Watch):
            raise TypeError(f"watch must be a Watch, got {type(self.watch).__name__}")


def check_timeout(timeout_s: float | None) -> float | None:
    """Return the bound of a question if it is more than 0 or None, else raise ValueError."""
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s must be more than 0, or None for no bound, got {timeout_s}")
    return timeout_s


def check_shard(shard: int, n_shards: int) -> int:
    """Return the number of a shard if there is one of that number, else raise TypeError or ValueError."""
    if isinstance(shard, bool) or not isinstance(shard, int):
        raise TypeError(f"shard must be an int, got {type(shard).__name__}")
    if not 0 <= shard < n_shards:
        raise ValueError(f"shard must be from 0 to {n_shards - 1}, got {shard}")
    return shard


def all_paths(path: str | Path, copies: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return a directory and its copies as absolute paths; raises TypeError for a single path as copies."""
    if isinstance(copies, str | Path):
        raise TypeError(f"copies must be a list of directories, got {copies!r}; put it into a list")
    return tuple(Path(one).absolute() for one in (path, *copies))
