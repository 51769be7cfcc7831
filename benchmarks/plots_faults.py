"""Figure of the stored results of bench_faults: latency around each fault.

python -m benchmarks.plots_faults
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.plots import new_plot, save_figure
from benchmarks.provenance import RESULTS

TITLES = {
    "replica": "kill -9 of a replica",
    "node": "kill -9 of a node",
    "stopped": "SIGSTOP of a replica",
    "slow": "a replica ten times slower, 6 s",
    "corrupted": "corrupted copy, preloaded",
    "rot": "corrupted copy, mapped",
    "head": "head away for 5 s",
    "swap": "swap to a new version",
    "move": "all replicas move",
}
COLUMNS = 3


def main() -> None:
    """Draw what there is."""
    path = RESULTS / "faults.json"
    draw_faults(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".svg"))


def draw_faults(result: dict[str, Any], path: Path) -> None:
    """Draw the median and the 99th percentile of each quarter of a second, a panel for each fault."""
    faults = result["faults"]
    rows = math.ceil(len(faults) / COLUMNS)
    figure, axes = new_plot().subplots(
        rows, COLUMNS, figsize=(4.6 * COLUMNS, 3 * rows), squeeze=False, sharey=True
    )
    for panel, (name, one) in zip(axes.flat, faults.items(), strict=False):
        begin, _, p50, p99, bad = zip(*one["timeline"], strict=True)
        panel.plot(begin, p99, color="tab:red", linewidth=1.2, label="p99 of a batch of 16")
        panel.plot(begin, p50, color="tab:blue", linewidth=1.2, label="median")
        panel.axvspan(
            0,
            one["all replicas back after s"],
            color="tab:gray",
            alpha=0.2,
            label="until all replicas are back",
        )
        failed = [(at, ms) for at, ms, n in zip(begin, p99, bad, strict=True) if n]
        if failed:
            panel.plot(*zip(*failed, strict=True), "kx", label="not answered, or wrong")
        panel.set_title(f"{TITLES[name]}: {one['queries']:,} queries, {one['wrong']} wrong", fontsize=9)
        panel.set_yscale("log")
        panel.set_xlabel("seconds since the fault")
        panel.grid(visible=True, which="major", alpha=0.3)
    for panel in axes[:, 0]:
        panel.set_ylabel("ms")
    for panel in axes.flat[len(faults) :]:
        panel.set_visible(False)
    save_figure(figure, axes, path)


if __name__ == "__main__":
    main()
