"""What cannot be served is refused before anything is started."""

import numpy as np
import pytest
from hashnet.distributed.serving.settings import ServiceSettings
from hashnet.distributed.serving.source import Source, check_model, check_source, default_shards

from hashnet import Index
from hashnet.errors import FingerprintError


@pytest.fixture
def index(tmp_path):
    """Three segments of 32-bit codes of some model."""
    path = tmp_path / "a.hnx"
    with Index.create(path, n_bits=32, fingerprint="sha256:abc") as made:
        for i in range(3):
            made.add(np.full((4, 4), i, dtype=np.uint8))
    return path


def test_two_shards_are_the_default_where_there_are_segments(index, tmp_path):
    assert default_shards(index) == 2
    with Index.create(tmp_path / "b.hnx", n_bits=32) as made:
        made.add(np.zeros((1, 4), dtype=np.uint8))
    assert default_shards(tmp_path / "b.hnx") == 1


def test_more_shards_than_segments_are_refused(index):
    check_source(Source(index, shards=3))
    with pytest.raises(ValueError, match=r"has 3 segments, too few for 4 shards.*hashnet build"):
        check_source(Source(index, shards=4))


def test_a_missing_index_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.hnx"):
        check_source(Source(tmp_path / "none.hnx"))


def test_the_model_of_another_code_space_is_refused(index, tiny_model):
    with pytest.raises(FingerprintError, match="queries of the model"):
        check_source(Source(index, tiny_model, shards=1))


def test_a_model_of_another_length_is_refused():
    with pytest.raises(ValueError, match="codes of 16 bits, the index holds codes of 32"):
        check_model(16, "sha256:abc", n_bits=32, fingerprint="sha256:abc")


def test_an_index_without_a_code_space_takes_any_model_of_its_length():
    check_model(32, "sha256:abc", n_bits=32, fingerprint=None)


def test_no_shards_means_an_index_in_this_process(index):
    with Source(index, shards=0).open(ServiceSettings()) as opened:
        assert isinstance(opened, Index)
        assert len(opened) == 12


def test_the_encoder_of_the_model_is_ready(index, tiny_model):
    encoder = Source(index, tiny_model).load_encoder()
    assert encoder.n_bits == 32
    assert Source(index).load_encoder() is None
