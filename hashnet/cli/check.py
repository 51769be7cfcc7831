"""``hashnet check``: is every byte of an index what was written."""

from __future__ import annotations

from hashnet.cli.options import IndexArgument, JsonOption, ProgressOption


def check(index: IndexArgument, *, json: JsonOption = False, progress: ProgressOption = "auto") -> None:
    """Compare every byte of an index with its checksums; exits with 3 where one is damaged.

    Opening a large index checks headers only, because it reads nothing else; this reads everything.
    """
    from hashnet.cli.info import directory_bytes
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.index import open_index
    from hashnet.progress import make_progress

    watched = make_progress(progress)
    with open_index(index, verify=False) as opened:
        watched.start("check", None)
        try:
            opened.check()
        finally:
            watched.finish()
        stats = opened.stats()
    facts = {
        "damaged": False,
        "codes": stats.n_codes,
        "segments": stats.n_segments,
        "bytes": directory_bytes(index),
    }
    if json:
        print_json(facts)
    else:
        print_pairs(facts, title=f"checked {index}")
