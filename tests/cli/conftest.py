"""A model, a code store and an index that commands can be tried on."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

N_CODES = 200


class Commands:
    """Runs ``hashnet`` in this process."""

    def __call__(self, *args):
        from hashnet.cli import app

        return CliRunner().invoke(app, [str(arg) for arg in args])

    def json(self, *args):
        result = self(*args, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture(scope="session")
def run():
    return Commands()


@pytest.fixture(scope="session")
def codes(tiny_model, tmp_path_factory):
    """A code store with the first digits."""
    from hashnet.datasets import open_images
    from hashnet.encoding import encode_to_store

    folder = tmp_path_factory.mktemp("store") / "codes"
    encode_to_store(tiny_model, open_images("digits"), np.arange(N_CODES), folder)
    return folder


@pytest.fixture(scope="session")
def index(codes, tmp_path_factory, run):
    """An index of two segments with these codes; not to be changed."""
    path = tmp_path_factory.mktemp("index") / "digits.hnx"
    assert run("build", codes, "--output", path, "--shards", 2).exit_code == 0
    return path


@pytest.fixture(scope="session")
def queries(codes, tmp_path_factory):
    """Packed query codes as a file."""
    from hashnet.encoding import CodeStore

    path = tmp_path_factory.mktemp("queries") / "q.npy"
    np.save(path, CodeStore.open(codes).codes()[:5])
    return path


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    """A digit as an image file: number 5 of the data set."""
    from hashnet.datasets import open_images

    path = tmp_path_factory.mktemp("picture") / "five.png"
    open_images("digits").load(5).save(path)
    return path
