"""``hashnet plan``: capacity on paper."""

import pytest

ASKED = ("plan", "--codes", "1e11", "--bits", 64, "--qps", 5000, "--radius", 4, "--replicas", 2)


def test_the_plan_of_the_readme(run):
    answer = run.json(*ASKED)
    assert answer["demand"]["codes"] == 10**11
    assert answer["plan"]["shards"] == 9
    assert answer["plan"]["shard_nodes"] == 18
    assert 0 < answer["plan"]["p50_ms"] < answer["plan"]["p99_ms"]
    assert any("segments" in note for note in answer["plan"]["beyond_measurement"])


def test_people_get_a_table(run):
    result = run(*ASKED)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("100,000,000,000 codes of 64 bits, radius 4, 5,000 queries/s")
    assert "memory per shard" in result.stdout


def test_constants_are_those_of_the_machine_asked_for(run):
    faster, slower = (run.json(*ASKED, "--measured-on", machine) for machine in ("avx512", "avx2"))
    assert (faster["measured_on"], slower["measured_on"]) == ("avx512", "avx2")
    assert run.json(*ASKED) == faster
    assert slower["plan"]["engine_ms"] > faster["plan"]["engine_ms"]
    assert slower["plan"]["shards"] == faster["plan"]["shards"]


def test_ten_nearest_are_the_default(run):
    assert run.json("plan", "--codes", "1e9")["demand"]["question"]["k"] == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--codes", "many"), "--codes must be a whole number"),
        (("--codes", "1.5"), "--codes must be a whole number"),
        (("--codes", "nan"), "--codes must be a whole number"),
        (("--codes", "1e9", "--bits", 256), "bits must be a multiple of 8 up to 64"),
        (("--codes", "1e9", "--k", 1, "--radius", 1), "either --radius or --k"),
        (("--codes", "1e9", "--memory-per-node", "lots"), "must be an amount of memory"),
        (("--codes", "1e9", "--replicas", 0), "replicas must be at least 1"),
        (("--codes", "1e9", "--measured-on", "neon"), "'neon' is not one of 'avx512', 'avx2'"),
    ],
)
def test_wrong_options_are_refused_with_the_rule(run, options, message):
    result = run("plan", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
