"""Exporting writes a file that was checked, or nothing."""

import importlib

import pytest

from hashnet.models import export_check


@pytest.fixture(scope="module")
def exported(tiny_model, tmp_path_factory, run):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it is in hashnet[export]")
    folder = tmp_path_factory.mktemp("export")
    paths = [folder / "model.onnx", folder / "model.pt2"]
    return paths, run.json("export", tiny_model, "--onnx", paths[0], "--torch", paths[1], "--images", 100)


def test_the_files_are_checked_on_real_images_and_written(exported):
    paths, facts = exported
    found = facts["files"]
    assert list(found) == [str(path) for path in paths]
    assert {one["n_images"] for one in found.values()} == {100}
    assert {one["differing_bits"] for one in found.values()} == {0}
    assert [path.stat().st_size for path in paths] == [one["bytes"] for one in found.values()]


def test_an_existing_file_is_kept_unless_told_otherwise(exported, tiny_model, run):
    paths, _ = exported
    before = paths[1].read_bytes()
    result = run("export", tiny_model, "--torch", paths[1])
    assert (result.exit_code, paths[1].read_bytes() == before) == (2, True)
    assert "--overwrite" in result.stderr


@pytest.mark.parametrize(
    ("shift", "allowed", "said"),
    [(0.5, 10**6, "no rounding noise"), (9e-6, 0, "--allow-noise-bits")],
)
def test_differing_codes_fail_loudly_and_write_nothing(
    tiny_model, run, tmp_path, monkeypatch, shift, allowed, said
):
    shifted_graph(monkeypatch, shift)
    result = run(
        *("export", tiny_model, "--torch", tmp_path / "m.pt2", "--images", 400),
        *("--allow-noise-bits", allowed),
    )
    assert result.exit_code == 1
    assert "differ from the model" in result.stderr
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_noise_that_was_allowed_is_accepted(tiny_model, run, tmp_path, monkeypatch):
    shifted_graph(monkeypatch, 9e-6)
    facts = run.json(
        *("export", tiny_model, "--torch", tmp_path / "m.pt2", "--images", 400),
        *("--allow-noise-bits", 100),
    )
    (found,) = facts["files"].values()
    assert 0 < found["differing_bits"] == found["noise_bits"] <= 100
    assert found["near_zero_images"] > 0


def shifted_graph(monkeypatch, shift):
    """Let the exported graph be one whose z is moved, as another order of summation would, or a fault."""
    true_graph = export_check.torch_graph

    def torch_graph(file):
        graph = true_graph(file)

        def run(pixels):
            z = graph(pixels)[1] + shift
            return export_check.pack(z), z

        return run

    monkeypatch.setattr(export_check, "torch_graph", torch_graph)


def test_an_export_to_nowhere_is_refused(tiny_model, run):
    result = run("export", tiny_model)
    assert result.exit_code == 2
    assert "--onnx OUT.onnx or --torch OUT.pt2" in result.stderr


def test_a_missing_package_is_named_with_the_remedy(tiny_model, run, tmp_path, monkeypatch):
    true_import = importlib.import_module

    def without(name, package=None):
        if name == "onnxscript":
            raise ModuleNotFoundError("No module named 'onnxscript'")
        return true_import(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    result = run("export", tiny_model, "--onnx", tmp_path / "m.onnx")
    assert result.exit_code == 1
    assert "pip install 'hashnet[export]'" in result.stderr
    assert list(tmp_path.iterdir()) == []
