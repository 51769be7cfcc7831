"""Jobs on Ray whose driver and workers are killed by tests, and started again."""

import os
import signal
import subprocess
import sys
import time

from ray_processes import ray_processes


class Job:
    """A driver in a process of its own; ``commits`` yields the files that appear as its units are done."""

    def __init__(self, script, arguments, commits):
        self._command = [sys.executable, "-c", script, *map(str, arguments)]
        self._commits = commits
        self._process = None

    @property
    def n_done(self):
        """How many units were committed."""
        return len(list(self._commits()))

    @property
    def runs(self):
        """Whether the driver is at it."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended(self):
        """Whether the driver came to its end."""
        return self._process is not None and self._process.returncode == 0

    def start(self):
        """Start the driver (again)."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE)

    def end(self):
        """Wait for the end; fail the test if the driver failed by itself."""
        _, said = self._process.communicate(timeout=300)
        assert self.ended, said.decode()[-2000:]

    def kill(self):
        """Kill the driver, if it runs; return whether it did."""
        if not self.runs:
            return False
        self._process.kill()
        self._process.communicate()
        # It may have come to its end meanwhile.
        return self._process.returncode == -signal.SIGKILL

    def kill_worker(self, name, *, limit_s):
        """Kill a process of Ray that runs ``name``, as soon as there is one; return whether there was."""
        if not wait_until(lambda: not self.runs or ray_processes(name, below=os.getpid()), limit_s):
            return False
        for process in ray_processes(name, below=os.getpid())[:1]:
            os.kill(process, signal.SIGKILL)
            return True
        return False


def wait_until(condition, limit_s):
    """Wait for a condition; return whether it came true within ``limit_s``."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False
