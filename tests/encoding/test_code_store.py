"""A code store that is not what was written is damaged, never wrong."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hashnet.datasets import open_images
from hashnet.encoding import CodeStore, encode_to_store
from hashnet.errors import DamagedError


@pytest.fixture(scope="module")
def written(tiny_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("store") / "codes"
    encode_to_store(tiny_model, open_images("digits"), np.arange(50), output, unit_size=20)
    return output


@pytest.fixture
def store(written, tmp_path):
    shutil.copytree(written, tmp_path / "codes")
    return tmp_path / "codes"


def test_codes_and_ids_are_mapped_and_read_only(store):
    for shard in CodeStore.open(store).iter_shards():
        assert isinstance(shard.codes, np.memmap)
        assert shard.codes.dtype == np.uint8
        assert not shard.ids.flags.writeable


@pytest.mark.parametrize("part", ["codes.npy", "ids.npy", "keys.parquet"])
def test_a_flipped_bit_in_a_shard_is_noticed(store, part):
    path = store / f"shard-000001.{part}"
    broken = bytearray(path.read_bytes())
    broken[-3] ^= 1
    path.write_bytes(bytes(broken))
    with pytest.raises(DamagedError, match=rf"shard-000001\.{part} is damaged: it fails its SHA-256"):
        CodeStore.open(store).codes()


@pytest.mark.parametrize("part", ["codes.npy", "ids.npy", "keys.parquet"])
def test_a_truncated_shard_is_noticed(store, part):
    path = store / f"shard-000002.{part}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="were written"):
        CodeStore.open(store).verify()


@pytest.mark.parametrize("name", ["shard-000000.ids.npy", "rejects.parquet"])
def test_a_missing_file_is_noticed(store, name):
    (store / name).unlink()
    with pytest.raises(DamagedError, match="is missing"):
        CodeStore.open(store).verify()


def test_a_damaged_reject_list_is_noticed(store):
    path = store / "rejects.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(DamagedError, match=r"rejects\.parquet"):
        _ = CodeStore.open(store).rejects


def test_any_flipped_bit_in_the_manifest_is_noticed(store):
    path = store / "manifest.json"
    whole = path.read_bytes()
    settings = CodeStore.open(store).manifest
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 400):
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(broken))
        try:
            manifest = CodeStore.open(store).manifest
        except DamagedError:
            continue
        # White space may change without a change of meaning.
        assert manifest == settings


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"format": 1}', "\xff"])
def test_a_manifest_that_is_none_is_damaged(store, text):
    (store / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedError, match=r"manifest\.json is damaged"):
        CodeStore.open(store)


def test_a_store_of_a_later_version_is_refused(store):
    path = store / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(DamagedError, match="version 2, this hashnet reads 'hashnet-codes' version 1"):
        CodeStore.open(store)


def test_a_folder_without_a_store_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="run hashnet encode"):
        CodeStore.open(tmp_path)


def test_reading_a_store_loads_neither_torch_nor_ray(store):
    code = (
        "import sys; from hashnet.encoding import CodeStore; "
        f"CodeStore.open({str(store)!r}).codes(); "
        "print([m for m in ('torch', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
