"""The processes of the Ray that this process started, found by what they run."""

from pathlib import Path


def parent_of(process):
    """Id of the parent, 0 if the process is gone."""
    try:
        # The name in parentheses may hold anything.
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def ray_processes(name, *, below):
    """Ids of the processes that run ``name`` under the raylet that ``below`` started, and nobody else's."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        process = int(entry.name)
        if command.startswith(f"ray::{name}".encode()) and parent_of(parent_of(process)) == below:
            found.append(process)
    return found
