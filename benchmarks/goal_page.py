"""Every goal that a stored result measured, on one page: figures, limits, and what was missed.

    python -m benchmarks.goal_page             written to results/goals.md

Results in a folder of their own, like results/avx2, are of another machine: a column each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.provenance import RESULTS, size_of

_HERE = "results"


@dataclass(frozen=True)
class Figure:
    """A measured figure of a goal; ``limit`` has its sign, like "<= 0.2"."""

    section: str
    what: str
    question: str
    limit: str
    value: float
    reached: bool


def main() -> None:
    """Write the page and print how many goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    folder = parser.parse_args().results
    results = stored(folder)
    path = folder / "goals.md"
    path.write_text(page(results), encoding="utf-8")
    for name, ones in results.items():
        found = [figure for one in ones for figure in figures(one)]
        reached = sum(figure.reached for figure in found)
        print(f"{name}: {reached} of {len(found)} figures reach their goal")


def stored(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the results that have goals, by the folder that they lie in."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("**/*.json")):
        result = {**json.loads(path.read_text(encoding="utf-8")), "file": path.stem}
        if any(True for _ in figures(result)):
            name = _HERE if path.parent == folder else path.parent.relative_to(folder).as_posix()
            found.setdefault(name, []).append(result)
    return found


def figures(result: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the figures of one result that have a goal."""
    protocol = result.get("protocol", {})
    if isinstance(result.get("series"), list):  # of bench_planner
        limit = protocol["limit"]
        for one in result["series"]:
            for row in one["rows"]:
                what = f"{size_of(one['n'])} of {one['n_bits']} bits, {one['workload']}"
                ratio = row["ratio"]
                yield Figure(
                    "Planner: time as planned over the better of scan and probing",
                    what,
                    row["question"],
                    f"<= {limit:g}",
                    ratio,
                    ratio <= limit,
                )
        return
    for row in result.get("goals") or ():
        if "number" in row:  # of bench_search
            yield Figure(
                f"Engine, goal {row['number']}",
                f"{size_of(protocol['n'])} of {protocol['n_bits']} bits, {row['workload']}: {row['measure']}",
                row["question"],
                f"{'<=' if row['at_most'] else '>='} {row['limit']:g}",
                row["value"],
                row["reached"],
            )
        elif "shards" in row:  # of bench_distribution
            limit = f"<= {row['at most']:g}" if "at most" in row else f">= {row['at least']:g}"
            yield Figure(
                "Distribution",
                f"{result['file'].removeprefix('distribution_')}, shards: {row['shards']}, {row['measure']}",
                row["question"],
                limit,
                row["value"],
                row["reached"],
            )


def page(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the page as Markdown."""
    machines = list(results)
    lines = [
        "# Goals",
        "",
        "Written by `python -m benchmarks.goal_page` from the results. **Bold**: missed; why, and what was "
        "tried, is told in [../README.md](../README.md#goals-not-reached).",
        "",
        *(f"* {said_of(name, results[name])}" for name in machines),
    ]
    sections: dict[str, dict[tuple[str, str], dict[str, list[Figure]]]] = {}
    for name in machines:
        for result in results[name]:
            for figure in figures(result):
                rows = sections.setdefault(figure.section, {})
                cells = rows.setdefault((figure.what, figure.limit), {})
                cells.setdefault(name, []).append(figure)
    for section in sorted(sections):
        lines += [
            "",
            f"## {section}",
            "",
            f"| | goal | {' | '.join(machines)} |",
            "|---|---|" + "---|" * len(machines),
        ]
        for (what, limit), cells in sections[section].items():
            told = " | ".join(cell(cells.get(name, [])) for name in machines)
            lines.append(f"| {what} | {limit} | {told} |")
    return "\n".join(lines) + "\n"


def said_of(name: str, results: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence on the machine of a column."""
    machines = {
        json.dumps({**one["machine"], "load": None}, sort_keys=True): one["machine"] for one in results
    }
    told = "; ".join(
        f"{one['cpu']}, {one['cores']} cores, {one['memory_gib']} GiB, {one['simd']}"
        for one in machines.values()
    )
    commits = sorted({one["commit"][:7] for one in results})
    return f"`{name}`: {told}. Commits {', '.join(commits)}."


def cell(found: Sequence[Figure]) -> str:
    """Return the figures of one row: each, or of many how many are reached and the worst."""
    many = 12
    if not found:
        return ""
    if len(found) <= many:
        return ", ".join(_bold(figure, f"{figure.question} {figure.value:.3g}") for figure in found)
    missed = [figure for figure in found if not figure.reached]
    upper = found[0].limit.startswith("<=")
    worst = (max if upper else min)(found, key=lambda figure: figure.value)
    told = f"{len(found) - len(missed)} of {len(found)}, the worst: "
    shown = sorted(missed, key=lambda figure: figure.value, reverse=upper)[:many] or [worst]
    return told + ", ".join(_bold(figure, f"{figure.question} {figure.value:.3g}") for figure in shown)


def _bold(figure: Figure, text: str) -> str:
    return text if figure.reached else f"**{text}**"


if __name__ == "__main__":
    main()
