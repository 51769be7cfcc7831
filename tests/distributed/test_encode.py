"""Encoding on Ray: the store of a local run, byte for byte."""

import io
import os
import shutil
import signal
import tarfile
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from ray_processes import ray_processes

from hashnet.datasets import open_images, open_source
from hashnet.encoding import encode_to_store
from hashnet.errors import DamagedError, HashnetError, ResumeError, SourceChangedError

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
def tars(folder, tmp_path_factory):
    """The images in two tar shards."""
    place = tmp_path_factory.mktemp("tars")
    paths = sorted(folder.iterdir())
    for name, some in (("a.tar", paths[:13]), ("b.tar", paths[13:])):
        with tarfile.open(place / name, "w") as tar:
            for path in some:
                tar.add(path, path.name)
                tar.addfile(tarfile.TarInfo(f"{path.stem}.cls"), io.BytesIO())
    return place


@pytest.fixture(scope="module")
def local(tiny_model, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("local") / "codes"
    encode_to_store(tiny_model, open_images(folder), None, output, unit_size=12, max_error_rate=0.1)
    return output


class Recorder:
    def __init__(self):
        self.done = 0
        self.total = None
        self.figures = {}

    def start(self, what, total):
        self.total = total

    def advance(self, done=1, **figures):
        self.done += done
        self.figures.update(figures)

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
    assert progress.figures["rejected"] == 2
    assert progress.figures["images_per_s"] > 0
    assert progress.figures["eta_s"] == 0


def test_tar_shards_decoded_by_tasks_have_the_bytes_of_a_local_run(tiny_model, tars, tmp_path):
    from hashnet.distributed import encode_with_ray

    settings = {"unit_size": 18, "max_error_rate": 0.1}
    store = encode_with_ray(tiny_model, tars, tmp_path / "codes", workers=1, decoders=1, **settings)
    encode_to_store(tiny_model, open_source(tars), None, tmp_path / "local", **settings)
    assert content(tmp_path / "codes") == content(tmp_path / "local")
    assert [(row.unit, row.row, row.key) for row in store.rejects] == [
        (0, 7, "a.tar/07.jpg"),
        (1, 33, "b.tar/33.jpg"),
    ]


def test_parquet_has_the_bytes_of_a_local_run(tiny_model, folder, tmp_path):
    from hashnet.distributed import encode_with_ray

    images = [path.read_bytes() for path in sorted(folder.iterdir())]
    pq.write_table(
        pa.table({"jpg": [None, *images], "key": [f"k{i}" for i in range(41)]}),
        tmp_path / "a.parquet",
        row_group_size=15,
    )
    settings = {"unit_size": 16, "max_error_rate": 0.1}
    data = tmp_path / "a.parquet"
    store = encode_with_ray(tiny_model, data, tmp_path / "codes", workers=1, **settings)
    encode_to_store(tiny_model, open_source(data), None, tmp_path / "local", **settings)
    assert content(tmp_path / "codes") == content(tmp_path / "local")
    assert [row.key for row in store.rejects] == ["k0", "k8", "k34"]


def test_workers_continue_what_a_local_run_began(tiny_model, tmp_path, monkeypatch):
    from hashnet.distributed import encode_with_ray

    from hashnet.encoding import local as module

    def dies(output, unit, rows):
        if unit == 2:
            raise KeyboardInterrupt
        return commit_unit(output, unit, rows)

    commit_unit = module.commit_unit
    digits, rows = open_images("digits"), np.arange(5, 60, 3)
    output = tmp_path / "codes"
    with monkeypatch.context() as patch:
        patch.setattr(module, "commit_unit", dies)
        with pytest.raises(KeyboardInterrupt):
            encode_to_store(tiny_model, digits, rows, output, unit_size=7)
    kept = (output / "shard-000001.codes.npy").stat().st_ino
    encode_with_ray(tiny_model, "digits", output, indices=rows, workers=1, unit_size=7)
    encode_to_store(tiny_model, digits, rows, tmp_path / "whole", unit_size=7)
    assert content(output) == content(tmp_path / "whole")
    assert (output / "shard-000001.codes.npy").stat().st_ino == kept


def test_a_worker_and_a_decoder_that_are_killed_are_replaced(tiny_model, folder, local, tmp_path):
    from hashnet.distributed import encode_with_ray

    victims = {"UnitWorker": [], "decode_part": []}
    ended = threading.Event()

    def kill():
        while not ended.is_set() and not all(victims.values()):
            for name, killed in victims.items():
                for process in ray_processes(name, below=os.getpid()) if not killed else []:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        encode_with_ray(
            tiny_model, folder, tmp_path / "codes", workers=1, decoders=1, unit_size=12, max_error_rate=0.1
        )
    finally:
        ended.set()
        killer.join()
    assert all(victims.values())
    assert content(tmp_path / "codes") == content(local)


def test_another_unit_size_does_not_continue_a_store(tiny_model, folder, local):
    from hashnet.distributed import encode_with_ray

    before = content(local)
    with pytest.raises(ResumeError, match="unit_size: 12 -> 13"):
        encode_with_ray(tiny_model, folder, local, unit_size=13, max_error_rate=0.1)
    assert content(local) == before


def test_other_images_where_a_worker_runs_end_the_job(tiny_model, folder, tmp_path, monkeypatch):
    from hashnet.distributed import encode, encode_units

    def elsewhere(**fields):
        return encode_units.DataSpec(**{**fields, "data": "digits"})

    monkeypatch.setattr(encode, "DataSpec", elsewhere)
    rows = np.arange(20)
    with pytest.raises(SourceChangedError, match="digits holds other images here"):
        encode.encode_with_ray(tiny_model, folder, tmp_path / "codes", indices=rows, workers=1, unit_size=12)


def test_a_folder_that_changes_under_the_job_ends_it(tiny_model, folder, tmp_path, monkeypatch):
    from hashnet.distributed import encode

    def opened(*arguments, **settings):
        source = open_source(*arguments, **settings)
        (tmp_path / "images" / "20.jpg").write_bytes(b"another")
        return source

    shutil.copytree(folder, tmp_path / "images")
    monkeypatch.setattr(encode, "open_source", opened)
    with pytest.raises(SourceChangedError, match=r"20\.jpg changed since"):
        encode.encode_with_ray(
            tiny_model, tmp_path / "images", tmp_path / "codes", workers=1, max_error_rate=1
        )


def test_chosen_rows_of_a_folder_are_those_of_a_local_run(tiny_model, folder, tmp_path):
    from hashnet.distributed import encode_with_ray

    rows, settings = np.arange(1, 40, 5), {"unit_size": 3, "max_error_rate": 0.1}
    encode_with_ray(tiny_model, folder, tmp_path / "codes", indices=rows, workers=1, **settings)
    encode_to_store(tiny_model, open_images(folder), rows, tmp_path / "local", **settings)
    assert content(tmp_path / "codes") == content(tmp_path / "local")


def test_damage_that_a_worker_meets_is_told_as_damage(tiny_model, tars, tmp_path, monkeypatch):
    from hashnet.distributed import encode

    def opened(*arguments, **settings):
        # The index is made, and then a header is overwritten within the same size and time.
        source = open_source(*arguments, **settings)
        times = (broken.stat().st_atime_ns, broken.stat().st_mtime_ns)
        with broken.open("r+b") as file:
            file.seek(1024)
            file.write(b"x" * 4096)
        os.utime(broken, ns=times)
        return source

    for path in tars.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "b.tar"
    monkeypatch.setattr(encode, "open_source", opened)
    settings = {"workers": 1, "decoders": 1, "unit_size": 18, "max_error_rate": 1}
    with pytest.raises(DamagedError, match=r"b\.tar is damaged: the header at byte 1024"):
        encode.encode_with_ray(tiny_model, tmp_path, tmp_path / "codes", **settings)


def test_a_model_that_a_worker_cannot_open_is_told_with_the_work_unit(
    tiny_model, folder, tmp_path, monkeypatch
):
    from hashnet.distributed import encode, encode_units

    def nowhere(**fields):
        return encode_units.WorkerSpec(**{**fields, "model_dir": str(tmp_path)})

    monkeypatch.setattr(encode, "WorkerSpec", nowhere)
    with pytest.raises(HashnetError, match=r"failed in work unit \d: FileNotFoundError: .* not a model"):
        encode.encode_with_ray(tiny_model, folder, tmp_path / "codes", workers=1, unit_size=12)
