"""``hashnet search --output``: many answers as a file."""

import numpy as np
import pyarrow.parquet as pq
import pytest


def test_the_file_holds_what_search_prints(run, index, queries, tmp_path):
    output = tmp_path / "hits.parquet"
    facts = run.json("search", index, "--queries", queries, "--k", 3, "--output", output)
    printed = run.json("search", index, "--queries", queries, "--k", 3)["answers"]
    rows = pq.read_table(output).to_pylist()
    assert facts["rows"] == len(rows) == 15
    assert [
        {"query": answer["query"], "rank": rank, **neighbor}
        for answer in printed
        for rank, neighbor in enumerate(answer["neighbors"], start=1)
    ] == rows
    assert all(row["key"] is not None for row in rows)


def test_a_count_is_written_too(run, index, queries, tmp_path):
    output = tmp_path / "counts.parquet"
    run.json("search", index, "--queries", queries, "--radius", 4, "--count", "--output", output)
    printed = run.json("search", index, "--queries", queries, "--radius", 4, "--count")["answers"]
    assert pq.read_table(output).to_pylist() == printed


def test_people_are_told_what_was_done(run, index, queries, tmp_path):
    result = run("search", index, "--queries", queries, "--radius", 0, "-o", tmp_path / "hits.parquet")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"answered into {tmp_path / 'hits.parquet'}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", 2), "--workers needs --output"),
        (("--output", "x.parquet", "--html", "page.html"), "--output is for --queries"),
        (("--output", "x.parquet", "--data", "digits"), "--output is for --queries"),
        (("--output", "x.parquet", "--k", 1, "--radius", 1), "either --k or --radius"),
        (("--output", "x.parquet", "--workers", 1, "--preload"), "--preload would copy the index"),
        (("--output", "x.parquet", "--workers", 1, "--ray", "ray://h:1"), "--ray is 'ray://h:1'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run, index, queries, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    result = run("search", index, "--queries", queries, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_queries_that_are_cut_off_are_damaged_data(run, index, queries, tmp_path):
    cut = tmp_path / "cut.npy"
    cut.write_bytes(queries.read_bytes()[:-1])
    result = run("search", index, "--queries", cut, "--output", tmp_path / "hits.parquet")
    assert result.exit_code == 3
    assert not (tmp_path / "hits.parquet").exists()


def test_an_output_of_another_question_is_left_alone(run, index, queries, tmp_path):
    output = tmp_path / "hits.parquet"
    run.json("search", index, "--queries", queries, "--k", 3, "--output", output)
    before = output.read_bytes()
    result = run("search", index, "--queries", queries, "--k", 4, "--output", output)
    assert result.exit_code == 2
    assert "not the answer to this question" in result.stderr
    assert output.read_bytes() == before


def test_queries_of_any_code_file_are_taken(run, index, queries, tmp_path):
    codes = np.load(queries)
    codes.tofile(tmp_path / "q.bin")
    run.json("search", index, "--queries", tmp_path / "q.bin", "--k", 3, "-o", tmp_path / "bin.parquet")
    run.json("search", index, "--queries", queries, "--k", 3, "-o", tmp_path / "npy.parquet")
    assert (tmp_path / "bin.parquet").read_bytes() == (tmp_path / "npy.parquet").read_bytes()
