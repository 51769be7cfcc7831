"""Requests made from the OpenAPI file, good and bad ones, get only answers that the file promises."""

import hashlib

import pytest
import schemathesis
from hashnet.distributed.serving.app import create_app
from hashnet.distributed.serving.keys import parse_keys
from hashnet.distributed.serving.settings import ServiceSettings
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS
from serving_samples import N_BITS, READ_KEY, Thumbnails, bearer

WANTED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture
def api(make_index):
    """The schema of a service with keys, a model, and small limits."""
    service = create_app(
        make_index(),
        ServiceSettings(
            keys=parse_keys(f"read,admin {READ_KEY}", source="test"),
            max_queries=4,
            max_body_bytes=4000,
            max_answers=500,
            explain_every=3,
        ),
        Thumbnails(),
        reopen=make_index,
    )
    return schemathesis.openapi.from_asgi("/openapi.json", service)


schema = schemathesis.pytest.from_fixture("api")


def check(case):
    """Ask as it is, and where it is a search once more so that the index has something to answer."""
    checks = [CHECKS.get_one(name) for name in WANTED]
    case.call_and_validate(headers=bearer(READ_KEY), checks=checks)
    if case.path in ("/search", "/search_radius") and isinstance(case.body, dict) and "codes" in case.body:
        case.body = answerable(case.body)
        for accept in ("application/json", "application/x-ndjson"):
            case.call_and_validate(headers=bearer(READ_KEY) | {"accept": accept}, checks=checks)


def answerable(body):
    """Return ``body`` with codes that fit the index and bounds near the limits, all else as it is."""
    digest = hashlib.sha256(repr(body).encode()).hexdigest()
    n = 1 + len(body["codes"]) % 5 if isinstance(body["codes"], list) else 1
    changes = {
        "codes": [digest[i : i + N_BITS // 4] for i in range(n)],
        "encoding": "hex",
        "fingerprint": None,
    }
    for name, bound in (("k", 150), ("radius", N_BITS + 2)):
        if isinstance(body.get(name), int):
            changes[name] = body[name] % bound
    return body | changes


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_request_is_too_much(case):
    check(case)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_too_much_among_many(case):
    check(case)
