"""An encode job ends with the same bytes however often it was interrupted, or says why it cannot."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from streams import png, write_tar

from hashnet.datasets import open_images, open_source
from hashnet.datasets.entries import ImageStream
from hashnet.encoding import CodeStore, Encoder, encode_to_store, local
from hashnet.encoding.job import open_job
from hashnet.errors import ErrorRateError, LockedError, ResumeError, SourceChangedError
from hashnet.models import NetworkConfig, Preprocessing, build_network, save_model

UNIT = 16


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """100 images, of which three cannot be read."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(100):
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(folder / f"{i:03d}.png")
    for i in (0, 41, 99):
        (folder / f"{i:03d}.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def whole(tiny_model, folder, tmp_path_factory):
    """The store of an uninterrupted run."""
    output = tmp_path_factory.mktemp("whole") / "codes"
    encode_to_store(tiny_model, open_images(folder), None, output, unit_size=UNIT, max_error_rate=0.03)
    return output


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    import torch

    directory = tmp_path_factory.mktemp("other") / "model"
    generator = torch.Generator().manual_seed(9)
    network = build_network(NetworkConfig("small_cnn", 32), weights=None, generator=generator)
    save_model(directory, network, Preprocessing(32, 32), classes=[], seed=9, metrics={})
    return directory


def test_every_readable_image_is_in_the_store_once(tiny_model, folder, whole):
    store = CodeStore.open(whole)
    images = open_images(folder)
    readable = [i for i in range(100) if i not in (0, 41, 99)]
    assert store.ids().tolist() == readable
    assert store.keys() == [images.key(i) for i in readable]
    assert np.array_equal(store.codes(), Encoder.load(tiny_model).encode_image_set(images).codes)
    assert [shard.codes.shape[0] for shard in store.iter_shards()] == [15, 16, 15, 16, 16, 16, 3]


def test_skipped_images_are_listed_with_unit_row_key_and_reason(whole):
    store = CodeStore.open(whole)
    reason = "not an image in a known format"
    assert store.n_rejects == 3
    assert [tuple(row) for row in store.rejects] == [
        (0, 0, "000.png", reason),
        (2, 41, "041.png", reason),
        (6, 99, "099.png", reason),
    ]


def test_the_store_carries_the_code_space(tiny_model, whole):
    store = CodeStore.open(whole)
    encoder = Encoder.load(tiny_model)
    assert (store.fingerprint, store.n_bits) == (encoder.fingerprint, encoder.n_bits)


def test_a_store_holds_no_traces_of_the_job(whole):
    assert {name.split(".", 1)[-1] for name in content(whole)} == {
        "json",
        "parquet",
        "codes.npy",
        "ids.npy",
        "keys.parquet",
    }


def test_chosen_rows_keep_their_row_numbers_as_ids(tiny_model, tmp_path):
    rows = np.array([2, 30, 1000])
    store = encode_to_store(tiny_model, open_images("digits"), rows, tmp_path / "codes")
    assert store.ids().tolist() == [2, 30, 1000]
    assert store.keys()[2] == "digits/1000"


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (np.array([3, 2]), ValueError),
        (np.array([3, 3]), ValueError),
        (np.array([-1]), ValueError),
        (np.array([1797]), ValueError),
        (np.array([1.0]), TypeError),
        ([1], TypeError),
    ],
)
def test_rows_that_cannot_be_ids_are_refused_before_anything_is_written(tiny_model, tmp_path, rows, error):
    with pytest.raises(error, match="rows must"):
        encode_to_store(tiny_model, open_images("digits"), rows, tmp_path / "codes")
    assert not (tmp_path / "codes").exists()


SCRIPT = """
import sys, time
from pathlib import Path
from hashnet.datasets import open_images, open_source
from hashnet.encoding import encode_to_store, local

commit_unit = local.commit_unit
def slow(*arguments):
    time.sleep(0.15)
    return commit_unit(*arguments)
local.commit_unit = slow
model, folder, output, unit, function = sys.argv[1:]
images = globals()[function](folder)
encode_to_store(model, images, None, output, unit_size=int(unit), max_error_rate=0.03)
"""


def killed_run(model, folder, output, *, opened_by, when):
    """Start the job in another process and kill it as soon as ``when()`` holds."""
    command = [sys.executable, "-c", SCRIPT, *map(str, (model, folder, output, UNIT, opened_by.__name__))]
    process = subprocess.Popen(command, cwd=output.parent)
    deadline = time.monotonic() + 120
    while process.poll() is None and not when() and time.monotonic() < deadline:
        time.sleep(0.005)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return killed


@pytest.mark.parametrize("opened_by", [open_images, open_source])
def test_a_job_killed_twice_ends_with_the_same_bytes(tiny_model, folder, whole, tmp_path, opened_by):
    output = tmp_path / "codes"
    first = output / ".job" / "unit-000001.json"
    assert killed_run(tiny_model, folder, output, opened_by=opened_by, when=first.exists)
    assert not (output / "manifest.json").exists()
    kept = first.stat().st_ino
    shard = (output / "shard-000001.codes.npy").stat().st_ino
    third = output / ".job" / "unit-000003.json"
    assert killed_run(tiny_model, folder, output, opened_by=opened_by, when=third.exists)
    assert first.stat().st_ino == kept
    (output / "shard-000005.codes.npy.77-0000.tmp").write_bytes(b"half")
    encode_to_store(tiny_model, opened_by(folder), None, output, unit_size=UNIT, max_error_rate=0.03)
    assert (output / "shard-000001.codes.npy").stat().st_ino == shard
    assert content(output) == content(whole)


def test_a_folder_that_is_streamed_has_the_bytes_of_its_image_set(tiny_model, folder, whole, tmp_path):
    stream = open_source(folder)
    assert isinstance(stream, ImageStream)
    encode_to_store(tiny_model, stream, None, tmp_path / "codes", unit_size=UNIT, max_error_rate=0.03)
    assert content(tmp_path / "codes") == content(whole)


def test_either_goes_on_with_what_the_other_began(tiny_model, folder, whole, tmp_path, monkeypatch):
    interrupted(tiny_model, folder, tmp_path / "codes", monkeypatch, at=3)
    kept = (tmp_path / "codes" / "shard-000001.codes.npy").stat().st_ino
    stream = open_source(folder)
    encode_to_store(tiny_model, stream, None, tmp_path / "codes", unit_size=UNIT, max_error_rate=0.03)
    assert content(tmp_path / "codes") == content(whole)
    assert (tmp_path / "codes" / "shard-000001.codes.npy").stat().st_ino == kept


def test_a_rerun_tells_which_images_of_a_folder_changed(tiny_model, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "images")
    interrupted(tiny_model, tmp_path / "images", tmp_path / "codes", monkeypatch, at=2, opened_by=open_source)
    (tmp_path / "images" / "new.png").write_bytes(png(1))
    (tmp_path / "images" / "007.png").unlink()
    os.utime(tmp_path / "images" / "050.png", ns=(0, 0))
    changes = r"1 added, 1 removed, 1 changed: 007\.png \(removed\), 050\.png \(changed\), new\.png \(added\)"
    before = content(tmp_path / "codes")
    with pytest.raises(ResumeError, match=rf"identity: .*of the images there are {changes}; choose another"):
        encode_to_store(
            tiny_model, open_source(tmp_path / "images"), None, tmp_path / "codes", unit_size=UNIT
        )
    assert content(tmp_path / "codes") == before


def test_a_folder_that_changes_under_the_job_ends_it_and_rejects_nothing(tiny_model, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "images")
    stream = open_source(tmp_path / "images")
    (tmp_path / "images" / "050.png").unlink()
    settings = {"unit_size": UNIT, "max_error_rate": 1}
    with pytest.raises(SourceChangedError, match=r"050\.png changed since"):
        encode_to_store(tiny_model, stream, None, tmp_path / "codes", **settings)
    with pytest.raises(FileNotFoundError):
        CodeStore.open(tmp_path / "codes")


def interrupted(tiny_model, folder, output, monkeypatch, *, at, opened_by=open_images):
    from hashnet.encoding import local

    commit_unit = local.commit_unit

    def dies(output, unit, rows):
        if unit == at:
            raise KeyboardInterrupt
        return commit_unit(output, unit, rows)

    images = opened_by(folder)
    with monkeypatch.context() as patch:
        patch.setattr(local, "commit_unit", dies)
        with pytest.raises(KeyboardInterrupt):
            encode_to_store(tiny_model, images, None, output, unit_size=UNIT, max_error_rate=0.03)


def test_a_damaged_or_missing_unit_is_encoded_again(tiny_model, folder, whole, tmp_path, monkeypatch):
    output = tmp_path / "codes"
    interrupted(tiny_model, folder, output, monkeypatch, at=4)
    damaged = output / "shard-000000.codes.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    (output / "shard-000001.keys.parquet").unlink()
    (output / ".job" / "unit-000002.json").write_text("{")
    encode_to_store(tiny_model, open_images(folder), None, output, unit_size=UNIT, max_error_rate=0.03)
    assert content(output) == content(whole)


def test_an_interrupted_job_is_no_store(tiny_model, folder, tmp_path, monkeypatch):
    interrupted(tiny_model, folder, tmp_path / "codes", monkeypatch, at=2)
    with pytest.raises(FileNotFoundError, match=r"no complete code store.*again, if it was interrupted"):
        CodeStore.open(tmp_path / "codes")


def test_a_rerun_of_a_complete_job_changes_nothing(tiny_model, folder, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    store = encode_to_store(tiny_model, open_images(folder), None, whole, unit_size=UNIT, max_error_rate=0.03)
    assert len(store) == 97
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_progress_counts_every_image_once_over_a_rerun(tiny_model, folder, tmp_path, monkeypatch):
    class Counter:
        done = 0

        def start(self, what, total):
            self.total = total

        def advance(self, done=1, **figures):
            self.done += done

        def finish(self):
            pass

    output, counter = tmp_path / "codes", Counter()
    interrupted(tiny_model, folder, output, monkeypatch, at=3)
    images = open_images(folder)
    encode_to_store(tiny_model, images, None, output, unit_size=UNIT, max_error_rate=0.03, progress=counter)
    assert (counter.done, counter.total) == (100, 100)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("change", ["model", "data", "unit_size", "rows"])
def test_another_job_does_not_continue_this_one(
    tiny_model, other_model, folder, whole, tmp_path, monkeypatch, complete, change
):
    output = tmp_path / "codes"
    if complete:
        shutil.copytree(whole, output)
    else:
        interrupted(tiny_model, folder, output, monkeypatch, at=2)
    before = content(output)
    images = open_images("digits" if change == "data" else folder)
    what = {"model": "fingerprint", "data": "identity", "unit_size": "unit_size", "rows": "rows: all"}
    with pytest.raises(ResumeError, match=rf"begun with other settings.*{what[change]}"):
        encode_to_store(
            other_model if change == "model" else tiny_model,
            images,
            np.arange(50) if change == "rows" else None,
            output,
            unit_size=17 if change == "unit_size" else UNIT,
            max_error_rate=0.03,
        )
    assert content(output) == before


def test_an_output_with_other_files_is_refused_and_left_alone(tiny_model, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match=r"holds other files \(thesis\.tex\)"):
        encode_to_store(tiny_model, open_images("digits"), None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_output_that_is_a_file_is_refused(tiny_model, tmp_path):
    (tmp_path / "codes").touch()
    with pytest.raises(FileExistsError, match="is a file"):
        encode_to_store(tiny_model, open_images("digits"), None, tmp_path / "codes")


def test_too_many_unreadable_images_fail_the_job_without_a_store(tiny_model, folder, tmp_path):
    message = r"of 100 images are unreadable.*max_error_rate 0\.02 .*000\.png: not an image"
    with pytest.raises(ErrorRateError, match=message):
        encode_to_store(
            tiny_model, open_images(folder), None, tmp_path / "codes", unit_size=UNIT, max_error_rate=0.02
        )
    with pytest.raises(FileNotFoundError):
        CodeStore.open(tmp_path / "codes")


def test_a_higher_error_rate_continues_a_job_that_failed(tiny_model, folder, whole, tmp_path):
    images, output = open_images(folder), tmp_path / "codes"
    with pytest.raises(ErrorRateError):
        encode_to_store(tiny_model, images, None, output, unit_size=UNIT, max_error_rate=0.02)
    encode_to_store(tiny_model, images, None, output, unit_size=UNIT, max_error_rate=0.03)
    assert content(output) == content(whole)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_an_error_rate_outside_0_and_1_is_refused(tiny_model, tmp_path, rate):
    with pytest.raises(ValueError, match="max_error_rate must lie between 0 and 1"):
        encode_to_store(tiny_model, open_images("digits"), None, tmp_path / "a", max_error_rate=rate)
    assert not (tmp_path / "a").exists()


def test_two_jobs_in_one_output_exclude_each_other(tiny_model, folder, whole, tmp_path):
    settings = CodeStore.open(whole).manifest.settings
    with open_job(tmp_path / "codes", settings, max_error_rate=0.03) as job:
        with pytest.raises(LockedError, match="another process is encoding"):
            encode_to_store(
                tiny_model, open_images(folder), None, tmp_path / "codes", unit_size=UNIT, max_error_rate=0.03
            )
        with pytest.raises(ValueError, match="are not encoded yet"):
            job.finish()


@pytest.mark.parametrize("change", ["content", "time"])
def test_a_job_does_not_go_on_with_a_file_replaced_by_one_of_its_size(
    tiny_model, folder, tmp_path, monkeypatch, change
):
    shutil.copytree(folder, tmp_path / "images")
    interrupted(tiny_model, tmp_path / "images", tmp_path / "codes", monkeypatch, at=2)
    before = content(tmp_path / "codes")
    replaced = tmp_path / "images" / "050.png"
    os.utime(replaced, ns=(0, 0))
    if change == "content":
        replaced.write_bytes(replaced.read_bytes()[::-1])
    with pytest.raises(ResumeError, match="identity: sha256"):
        encode_to_store(
            tiny_model,
            open_images(tmp_path / "images"),
            None,
            tmp_path / "codes",
            unit_size=UNIT,
            max_error_rate=0.05,
        )
    assert content(tmp_path / "codes") == before


def test_a_source_without_images_is_refused_before_anything_is_written(tiny_model, tmp_path):
    write_tar(tmp_path / "x.tar", [("readme.txt", b"")])
    with pytest.raises(ValueError, match="holds no images"):
        encode_to_store(tiny_model, open_source(tmp_path / "x.tar"), None, tmp_path / "codes")
    assert not (tmp_path / "codes").exists()


def test_chosen_rows_of_a_stream_are_refused(tiny_model, tmp_path):
    write_tar(tmp_path / "x.tar", [("a.png", png(1))])
    with pytest.raises(ValueError, match="a stream, which is encoded whole"):
        encode_to_store(tiny_model, open_source(tmp_path / "x.tar"), np.arange(1), tmp_path / "codes")


def test_a_stream_goes_on_where_it_was_killed(tiny_model, tmp_path, monkeypatch):
    members = [(f"{i:03d}.png", b"no image" if i % 9 == 4 else png(i)) for i in range(60)]
    write_tar(tmp_path / "x.tar", members)
    stream, settings = open_source(tmp_path / "x.tar"), {"unit_size": 7, "max_error_rate": 0.2}
    encode_to_store(tiny_model, stream, None, tmp_path / "whole", **settings)
    commit_unit = local.commit_unit

    def dies(output, unit, rows):
        if unit == 4:
            raise KeyboardInterrupt
        return commit_unit(output, unit, rows)

    with monkeypatch.context() as patch:
        patch.setattr(local, "commit_unit", dies)
        with pytest.raises(KeyboardInterrupt):
            encode_to_store(tiny_model, stream, None, tmp_path / "codes", **settings)
    assert (tmp_path / "codes" / ".job" / "unit-000003.json").exists()
    store = encode_to_store(tiny_model, stream, None, tmp_path / "codes", **settings)
    assert content(tmp_path / "codes") == content(tmp_path / "whole")
    assert [row.row for row in store.rejects] == list(range(4, 60, 9))
    assert store.ids().tolist() == [i for i in range(60) if i % 9 != 4]
