"""An exported graph takes pixels and gives the model's own codes, in any runtime and batch size."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from hashnet.codes import pack
from hashnet.encoding import Encoder
from hashnet.models.export import OPSET, describe_export, export_onnx, export_torch
from hashnet.models.export_check import check_graph, onnx_graph, torch_graph

REPOSITORY = "hashnet/models"


@pytest.fixture(scope="module")
def encoder(tiny_model):
    return Encoder.load(tiny_model)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def z(encoder, pixels):
    return np.concatenate([encoder.compute(pixels[first : first + 8]) for first in range(0, 70, 8)])


@pytest.fixture(scope="module")
def onnx_file(encoder):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed; it is in hashnet[export]")
    return export_onnx(encoder.model)


@pytest.fixture(scope="module")
def torch_file(encoder):
    return export_torch(encoder.model)


def test_onnxruntime_gives_the_codes_of_the_model(onnx_file, pixels, z):
    checked = check_graph(onnx_graph(onnx_file), pixels, z, runtime="onnxruntime")
    assert (checked.n_images, checked.n_bits, checked.differing_bits) == (70, 32, 0)
    assert checked.max_deviation < 1e-6


def test_torch_export_gives_the_codes_of_the_model(torch_file, pixels, z):
    assert check_graph(torch_graph(torch_file), pixels, z, runtime="torch.export").identical


def test_the_codes_are_those_of_the_encoder(onnx_file, encoder, pixels):
    codes, _ = onnx_graph(onnx_file)(pixels)
    assert np.array_equal(codes, encoder.encode(pixels))


@pytest.mark.parametrize("n", [1, 2, 33])
def test_any_batch_size_will_do(onnx_file, pixels, z, n):
    codes, relaxed = onnx_graph(onnx_file)(pixels[:n])
    assert (codes.shape, relaxed.shape) == ((n, 4), (n, 32))
    assert np.array_equal(codes, pack(z[:n]))


def test_the_onnx_file_is_valid_and_states_its_opset(onnx_file):
    import onnx

    model = onnx.load_model_from_string(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]


def test_the_onnx_file_says_what_must_be_done_before_it(onnx_file, encoder):
    import onnx

    said = {one.key: one.value for one in onnx.load_model_from_string(onnx_file).metadata_props}
    assert said == describe_export(encoder.model)
    assert said["hashnet.fingerprint"] == encoder.fingerprint
    assert json.loads(said["hashnet.preprocessing"]) == encoder.model.preprocessing.to_json()


def test_the_torch_file_says_what_must_be_done_before_it(torch_file, encoder):
    files = {"hashnet.json": ""}
    torch.export.load(io.BytesIO(torch_file), extra_files=files)
    assert json.loads(files["hashnet.json"]) == describe_export(encoder.model)


def test_no_path_of_this_machine_is_in_the_files(onnx_file, torch_file):
    assert REPOSITORY.encode() not in onnx_file
    with zipfile.ZipFile(io.BytesIO(torch_file)) as archive:
        assert [name for name in archive.namelist() if REPOSITORY.encode() in archive.read(name)] == []


def test_the_torch_file_holds_no_pickle(torch_file):
    with zipfile.ZipFile(io.BytesIO(torch_file)) as archive:
        assert [name for name in archive.namelist() if name.endswith(".pt") and archive.read(name)] == []


def test_a_wrong_bit_is_counted_and_is_no_noise(pixels, z):
    wrong = z.copy()
    wrong[[3, 3, 9], [0, 31, 7]] *= -1
    checked = check_graph(fixed(wrong, pixels), pixels, z, runtime="test")
    assert (checked.differing_bits, checked.differing_images, checked.noise_bits) == (3, 2, 0)
    assert not checked.identical


def test_a_bit_in_the_noise_is_told_apart(pixels, z):
    model, other = z.copy(), z.copy()
    model[5, 2], other[5, 2], model[6, 1], other[6, 1] = 1e-7, -1e-7, 2e-6, 2e-6
    checked = check_graph(fixed(other, pixels), pixels, model, runtime="test")
    assert (checked.differing_bits, checked.noise_bits) == (1, 1)
    assert checked.near_zero_images == int((np.abs(model) < 1e-5).any(axis=1).sum()) >= 2


def test_a_graph_of_another_width_is_refused(pixels, z):
    with pytest.raises(ValueError, match=r"\(70, 2\).*are wanted"):
        check_graph(fixed(z, pixels), pixels, z[:, :16], runtime="test")


def test_a_check_without_images_is_refused(pixels, z):
    with pytest.raises(ValueError, match="needs images"):
        check_graph(fixed(z, pixels), pixels[:0], z[:0], runtime="test")


def fixed(z, pixels):
    """A graph that knows its answers by heart."""
    place = {image.tobytes(): row for row, image in enumerate(pixels)}

    def run(batch):
        rows = z[[place[image.tobytes()] for image in batch]]
        return pack(rows), rows

    return run
