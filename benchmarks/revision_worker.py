"""One engine that answers timing questions on standard input: the other side of bench_revisions.

Run by the interpreter of any checkout, as a file: ``python revision_worker.py codes.npy queries.npy``. A line
``k radius begin end`` is answered by the median nanoseconds of these queries.
"""

from __future__ import annotations

import sys

import numpy as np

import hashnet


def main() -> None:
    """Build the index in memory, then answer until the input ends."""
    codes, queries = np.load(sys.argv[1]), np.load(sys.argv[2])
    index = hashnet.Index.in_memory(n_bits=codes.shape[1] * 8)
    index.add(codes)
    del codes
    print("ready", flush=True)
    for line in sys.stdin:
        k, radius, begin, end = map(int, line.split())
        ns = index._searcher.time_queries(queries[begin:end], k, radius, "auto")
        print(float(np.median(ns)), flush=True)


if __name__ == "__main__":
    main()
