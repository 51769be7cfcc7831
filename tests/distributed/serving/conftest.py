"""Small indexes and clients of the service."""

import numpy as np
import pytest
from hashnet.distributed.serving.keys import parse_keys
from hashnet.distributed.serving.settings import ServiceSettings
from serving_samples import ADMIN_KEY, FINGERPRINT, N_BITS, N_CODES, READ_KEY

from hashnet import Index


@pytest.fixture(scope="session")
def data():
    """Codes of few distinct values, so that distances tie, and ids that are no row numbers."""
    rng = np.random.default_rng(11)
    pool = rng.integers(0, 256, (150, N_BITS // 8), dtype=np.uint8)
    codes = pool[rng.integers(0, len(pool), N_CODES)]
    ids = rng.permutation(10 * N_CODES)[:N_CODES].astype(np.int64)
    queries = np.concatenate([codes[:6], rng.integers(0, 256, (6, N_BITS // 8), dtype=np.uint8)])
    return codes, ids, queries


@pytest.fixture
def make_index(data):
    """Make a new index in memory, because a service closes the one it was given."""

    def make(n=N_CODES, *, fingerprint=FINGERPRINT):
        codes, ids, _ = data
        index = Index.in_memory(n_bits=N_BITS, fingerprint=fingerprint)
        index.add(codes[:n], ids=ids[:n], keys=[f"photos/{i}.jpg" for i in ids[:n]])
        return index

    return make


@pytest.fixture
def serve(make_index):
    """Start clients of apps, like ``serve(max_k=5)`` or ``serve(searcher, encoder=..., keys=...)``."""
    from hashnet.distributed.serving.app import create_app
    from starlette.testclient import TestClient

    clients = []

    def start(searcher=None, *, encoder=None, reopen=None, raises=True, **settings):
        app = create_app(
            make_index() if searcher is None else searcher,
            ServiceSettings(**settings),
            encoder,
            reopen=reopen,
        )
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=raises)
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def keys():
    """One key for reading and one for administration."""
    return parse_keys(f"read {READ_KEY}\nadmin {ADMIN_KEY}\n", source="test")
