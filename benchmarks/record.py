"""Keeping a measurement: figures with their protocol, machine, versions and commit, as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hashnet import _core
from hashnet.files import write_atomically

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
_PACKAGES = ("hashnet", "numpy", "faiss-cpu", "faiss-gpu", "torch", "torchvision", "ray", "scikit-learn")


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory and load of this machine, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "simd": _core.simd(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of the packages that matter here, of those that are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_commit() -> str:
    """Return the commit of the checkout, marked where files differ from it; "unknown" outside git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def store(name: str, *, protocol: dict[str, Any], figures: Any, results: Path = RESULTS) -> Path:
    """Write ``results/<name>.json`` and return its path."""
    results.mkdir(parents=True, exist_ok=True)
    body = {
        "measurement": name,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": describe_commit(),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "protocol": protocol,
        "figures": figures,
    }
    path = results / f"{name}.json"
    write_atomically(path, (json.dumps(body, indent=1) + "\n").encode())
    return path


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
