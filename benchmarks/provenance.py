"""What a measured figure depends on besides the code: machine, versions, commit; and where it is kept."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hashnet import __version__, _core

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def provenance(packages: Sequence[str] = ("numpy",)) -> dict[str, Any]:
    """Return the machine, the versions of ``packages`` and the commit; ``dirty`` if files differ from it."""
    versions = {"python": platform.python_version(), "hashnet": __version__}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "simd": _core.simd(),
            "load": round(os.getloadavg()[0], 1),
        },
        "versions": versions,
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(
            _git("status", "--porcelain", "--", "csrc", "hashnet", "distributed", "benchmarks/*.py")
        ),
    }


def keep(name: str, result: dict[str, Any], *, folder: Path = RESULTS) -> Path:
    """Write ``result`` to ``folder/name.json`` and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}", file=sys.stderr)
    return path


def size_of(n: int) -> str:
    """Return a number of codes as results are named by it: 1e7."""
    return f"{n:.0e}".replace("e+0", "e").replace("e+", "e")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _git(*arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""
