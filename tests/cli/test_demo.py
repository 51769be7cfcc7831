"""The demonstration runs through, checks its answers, and leaves other people's files alone."""

import functools
import json
import re

import numpy as np
import pytest

from hashnet.cli.demonstration import MARK, prepare
from hashnet.cli.timing import measure


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(FileExistsError, match="files that are not of a demo"):
        prepare(tmp_path)


def test_an_earlier_demo_is_replaced(tmp_path):
    prepare(tmp_path / "demo")
    (tmp_path / "demo" / "model").mkdir()
    (tmp_path / "demo" / "report.html").touch()
    prepare(tmp_path / "demo")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [MARK]


def test_timing_asks_every_query_alone_and_all_together():
    asked = []
    queries = np.zeros((3, 4), dtype=np.uint8)
    timing = measure(lambda batch: asked.append(len(batch)), queries, batch_seconds=0)
    assert asked == [1, 1, 1, 1, 3]
    assert len(timing.milliseconds) == 3


@pytest.fixture(scope="module")
def demo(ray_session, tmp_path_factory, run):
    """A demonstration whose training is too short to be good, and what it printed."""
    import hashnet.training

    folder = tmp_path_factory.mktemp("demo") / "demo"
    # With 60 steps the loss passes ln 2, where codes count as collapsed, at one stage or another.
    short = functools.partial(hashnet.training.TrainConfig, iterations=200, stages=4, batch_size=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashnet.training, "TrainConfig", short)
        return folder, run("demo", "--output", folder, "--bits", 16, "--progress", "json")


@pytest.mark.ray
class TestTheDemonstration:
    def test_ends_well(self, demo):
        assert demo[1].exit_code == 0, demo[1].stderr

    def test_says_where_the_report_is(self, demo):
        assert demo[1].stdout.endswith(f"report: {demo[0] / 'report.html'}\n")

    def test_compares_every_answer_and_finds_no_mismatch(self, demo):
        figures = json.loads((demo[0] / "figures.json").read_text())
        # Two indexes, two questions, and at least the scan and FAISS's flat index.
        assert figures["compared"] >= 359 * 2 * 2 * 2
        assert figures["mismatches"] == 0

    def test_writes_a_page_with_every_figure(self, demo):
        page = (demo[0] / "report.html").read_text()
        assert page.count("<svg") == 7
        assert page.count("<img") == 100

    def test_writes_a_page_that_needs_nothing_else(self, demo):
        page = (demo[0] / "report.html").read_text()
        assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []

    def test_tells_its_progress(self, demo):
        phases = {json.loads(line)["what"] for line in demo[1].stderr.splitlines() if line.startswith("{")}
        assert {"train", "encode", "cross-check k=10", "write report"} <= phases
        assert any(phase.startswith("build: ") for phase in phases)

    def test_leaves_an_index_that_commands_can_use(self, demo, run):
        assert run.json("info", demo[0] / "digits.hnx")["segments"] == 2
