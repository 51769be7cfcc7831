"""Whether a question stays within the limits of a service and of its index: pure functions."""

from __future__ import annotations

from typing import Any

from .backends import Question
from .problems import ApiError
from .settings import ServiceSettings


def check_question(question: Question, settings: ServiceSettings, *, n_bits: int, n_codes: int) -> None:
    """Raise ApiError for a k or a radius beyond the limits."""
    if question.kind == "search":
        limit = min(settings.max_k, n_codes)
        if not 1 <= question.value <= limit:
            raise ApiError(
                "k_out_of_range",
                f"k must be from 1 to {limit}, got {question.value}; the limit of the service is "
                f"{settings.max_k}, and the index has {n_codes} codes",
                limit=limit,
            )
        return
    limit = largest_radius(settings, n_bits)
    if not 0 <= question.value <= limit:
        raise ApiError(
            "radius_out_of_range", f"radius must be from 0 to {limit}, got {question.value}", limit=limit
        )


def largest_radius(settings: ServiceSettings, n_bits: int) -> int:
    """Return the largest radius that may be asked."""
    return n_bits if settings.max_radius is None else min(settings.max_radius, n_bits)


def check_answers(n: int, settings: ServiceSettings, **details: Any) -> None:
    """Raise ApiError for more than ``max_answers`` neighbours in one JSON answer."""
    if n > settings.max_answers:
        raise ApiError(
            "answer_too_large",
            f"the answer would have {n} neighbours, more than the limit of {settings.max_answers}; ask fewer "
            "queries or for less, or have balls streamed with Accept: application/x-ndjson",
            limit=settings.max_answers,
            **details,
        )
