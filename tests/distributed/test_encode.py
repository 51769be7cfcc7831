"""Encoding on Ray: the store of a local run, byte for byte."""

import numpy as np
import pytest
from PIL import Image

from hashnet.datasets import open_images
from hashnet.encoding import encode_to_store
from hashnet.errors import ErrorRateError, HashnetError, ResumeError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 images, of which two cannot be read."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (20 + i, 24, 3), dtype=np.uint8)).save(folder / f"{i:02d}.jpg")
    (folder / "07.jpg").write_text("no image")
    whole = (folder / "33.jpg").read_bytes()
    (folder / "33.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def local(tiny_model, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("local") / "codes"
    encode_to_store(tiny_model, open_images(folder), None, output, unit_size=12, max_error_rate=0.1)
    return output


class Recorder:
    def __init__(self):
        self.done = 0
        self.total = None

    def start(self, what, total):
        self.total = total

    def advance(self, done=1, **figures):
        self.done += done

    def finish(self):
        pass


def test_the_store_of_two_workers_has_the_bytes_of_a_local_one(tiny_model, folder, local, tmp_path):
    from hashnet.distributed import encode_with_ray

    progress = Recorder()
    store = encode_with_ray(
        tiny_model,
        folder,
        tmp_path / "codes",
        workers=2,
        unit_size=12,
        max_error_rate=0.1,
        progress=progress,
    )
    assert (store.n_codes, store.n_rejects) == (38, 2)
    assert content(tmp_path / "codes") == content(local)
    assert (progress.done, progress.total) == (40, 40)


def test_workers_continue_what_a_local_run_began(tiny_model, tmp_path, monkeypatch):
    from hashnet.distributed import encode_with_ray

    from hashnet.encoding import local as module

    def dies(*arguments, **settings):
        if arguments[3] == 2:
            raise KeyboardInterrupt
        return encode_unit(*arguments, **settings)

    encode_unit = module.encode_unit
    digits, rows = open_images("digits"), np.arange(5, 60, 3)
    output = tmp_path / "codes"
    with monkeypatch.context() as patch:
        patch.setattr(module, "encode_unit", dies)
        with pytest.raises(KeyboardInterrupt):
            encode_to_store(tiny_model, digits, rows, output, unit_size=7)
    kept = (output / "shard-000001.codes.npy").stat().st_ino
    encode_with_ray(tiny_model, "digits", output, indices=rows, workers=1, unit_size=7)
    encode_to_store(tiny_model, digits, rows, tmp_path / "whole", unit_size=7)
    assert content(output) == content(tmp_path / "whole")
    assert (output / "shard-000001.codes.npy").stat().st_ino == kept


def test_too_many_unreadable_images_fail_the_job_without_a_store(tiny_model, folder, tmp_path):
    from hashnet.distributed import encode_with_ray

    with pytest.raises(ErrorRateError, match=r"of 40 images are unreadable.*07\.jpg: not an image"):
        encode_with_ray(tiny_model, folder, tmp_path / "codes", workers=1, unit_size=12, max_error_rate=0.01)
    assert not (tmp_path / "codes" / "manifest.json").exists()


def test_another_unit_size_does_not_continue_a_store(tiny_model, folder, local):
    from hashnet.distributed import encode_with_ray

    before = content(local)
    with pytest.raises(ResumeError, match="unit_size: 12 -> 13"):
        encode_with_ray(tiny_model, folder, local, unit_size=13, max_error_rate=0.1)
    assert content(local) == before


def test_what_a_worker_raises_is_told_with_its_work_unit(tiny_model, folder, tmp_path, monkeypatch):
    from hashnet.distributed import encode, encode_units

    def elsewhere(**fields):
        return encode_units.WorkerSpec(**{**fields, "data": "digits"})

    monkeypatch.setattr(encode, "WorkerSpec", elsewhere)
    with pytest.raises(HashnetError, match="work unit 0: ValueError: a worker sees another data"):
        encode.encode_with_ray(tiny_model, folder, tmp_path / "codes", workers=1, unit_size=12)
