"""A few processes joined by gloo, started once and asked many times: starting one takes seconds."""

from __future__ import annotations

import contextlib
import multiprocessing
import runpy
import traceback
from multiprocessing.connection import wait
from pathlib import Path

TIMEOUT_S = 120


class Gang:
    """``size`` processes; a call runs a function of a file in the first ``n`` of them, as one world."""

    def __init__(self, size, scratch):
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for rank in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, rank, size, f"file://{scratch}/rendezvous"), daemon=True
            )
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def __call__(self, path, function, *arguments, n):
        """Return ``function(world, *arguments)`` of each process; what one raised is raised here."""
        for pipe in self._pipes[:n]:
            pipe.send((str(path), function, arguments, n))
        answers = {}
        waiting = {pipe: rank for rank, pipe in enumerate(self._pipes[:n])}
        while waiting:
            # What one process raised leaves the others waiting for it, unless all raised.
            failed = any(error is not None for _, error, _ in answers.values())
            ready = wait(list(waiting), timeout=5 if failed else TIMEOUT_S)
            if not ready:
                self.close()
                answers[n] = (None, TimeoutError(f"processes {[*waiting.values()]} did not answer"), "")
                break
            for pipe in ready:
                answers[waiting.pop(pipe)] = pipe.recv()
        for _, error, trace in answers.values():
            if error is not None:
                raise error from RuntimeError(trace)
        return [answers[rank][0] for rank in range(n)]

    def close(self):
        for process in self._processes:
            process.kill()
            process.join()


def _serve(pipe, rank, size, rendezvous):
    import torch
    import torch.distributed as dist

    from hashnet.training.process_group import ProcessGroup

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=size)
    worlds = {}
    for n in range(1, size + 1):
        group = dist.new_group(range(n))
        if rank < n:
            worlds[n] = ProcessGroup(torch.device("cpu"), group)
    files = {}
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            path, function, arguments, n = pipe.recv()
            try:
                space = files.setdefault(path, None) or runpy.run_path(path, run_name=Path(path).stem)
                files[path] = space
                pipe.send((space[function](worlds[n], *arguments), None, ""))
            except (Exception, KeyboardInterrupt) as error:
                pipe.send((None, error, traceback.format_exc()))
