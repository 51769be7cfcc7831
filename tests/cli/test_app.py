"""The command line as a stranger meets it: help, version, cheap to start, and the codes it exits with."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    *("demo", "train", "hash", "encode", "build", "add", "search", "info", "check", "evaluate"),
    *("compare", "export", "crosscheck", "protocol"),
]


def hashnet(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "hashnet", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_help_names_every_command(run):
    result = run("--help")
    assert [name for name in COMMANDS if name not in result.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"$ hashnet {command}" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_answer_in_json(run, command):
    assert "--json" in run(command, "--help").stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"info", "protocol"}])
def test_every_command_that_takes_time_shows_progress(run, command):
    assert "--progress" in run(command, "--help").stdout


@pytest.mark.parametrize("command", ["demo", "train", "encode", "evaluate", "crosscheck"])
def test_chance_has_a_seed(run, command):
    assert "--seed" in run(command, "--help").stdout


def test_the_module_is_the_command():
    import hashnet as package

    result = hashnet("--version")
    assert (result.returncode, result.stdout) == (0, f"hashnet {package.__version__}\n")


def test_help_loads_nothing_heavy():
    script = (
        "import sys\nfrom hashnet.cli import app\n"
        "try: app(['search', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'matplotlib', 'sklearn', 'faiss', 'pyarrow', 'PIL'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_results_go_to_stdout_and_progress_to_stderr(index):
    result = hashnet("crosscheck", index, "--sample", 3, "--json", "--progress", "json")
    assert json.loads(result.stdout)["ok"] is True
    assert all(json.loads(line)["event"] for line in result.stderr.splitlines())


def test_an_error_is_one_line_on_stderr_and_an_exit_code(tmp_path):
    result = hashnet("info", tmp_path / "absent")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debug_shows_where_an_error_came_from(tmp_path, way, monkeypatch):
    if way == "variable":
        monkeypatch.setenv("HASHNET_DEBUG", "1")
    options = ["--debug"] if way == "option" else []
    assert "Traceback" in hashnet(*options, "info", tmp_path / "absent").stderr


def test_a_reader_who_stops_early_causes_no_traceback(index, queries):
    line = f"{sys.executable} -m hashnet search {index} --queries {queries} --radius 32 | head -n 1"
    result = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert result.stderr == ""


def test_the_installed_script_is_the_command():
    script = Path(sys.executable).with_name("hashnet")
    if not script.exists():
        pytest.skip("hashnet is not installed as a script beside this Python")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hashnet ")


def test_an_interrupted_training_says_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "hashnet", "train", "--data", "digits", "--output", tmp_path / "m"]
    command += ["--iterations", "100000", "--progress", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        for line in training.stderr:
            if json.loads(line)["event"] == "advance":
                training.send_signal(signal.SIGINT)
                break
        _, said = training.communicate(timeout=60)
    assert training.returncode == 130
    assert said.splitlines()[-1] == (
        "hashnet: interrupted; run the same command with --resume to go on from the last checkpoint"
    )


def test_a_warning_is_one_line_on_stderr(tmp_path):
    result = hashnet(
        *("train", "--data", "digits", "--output", tmp_path / "m"), *("--iterations", 20, "--stages", 3)
    )
    assert result.returncode == 0
    assert all(line.startswith("hashnet: warning: training collapsed") for line in result.stderr.splitlines())
    assert result.stderr
