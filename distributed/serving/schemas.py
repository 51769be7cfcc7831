"""What requests and answers look like on the wire; OpenAPI is made from these."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hashnet.codes import MAX_BITS

from .wire import Encoding

# Bounds that hold whatever the settings of a service are; its own come on top.
_Text = Annotated[str, Field(max_length=MAX_BITS // 4)]
_Bytes = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1, max_length=MAX_BITS // 8)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Wishes(_Request):
    """What every search can be asked besides its codes."""

    fingerprint: Annotated[
        str | None, Field(max_length=200, description="Code space of the queries; refused where another.")
    ] = None
    partial: Annotated[
        bool, Field(description="Take the answer of the other shards where one is missing, marked as such.")
    ] = False
    with_keys: Annotated[bool, Field(description="Return the source key of each neighbour.")] = True
    with_codes: Annotated[bool, Field(description="Return the code of each neighbour as hex.")] = False
    explain: Annotated[
        bool, Field(description="Return the plan of the query and its cost; for one query at a time.")
    ] = False


class _Codes(BaseModel):
    codes: Annotated[
        list[_Text | _Bytes],
        Field(
            min_length=1,
            description="Codes as `encoding` has them; the first bit is the highest of the first byte.",
        ),
    ]
    encoding: Annotated[Encoding, Field(description="How codes are written.")] = "hex"


class SearchWishes(Wishes):
    """The k nearest codes."""

    k: Annotated[int, Field(ge=1, description="How many neighbours; at most the codes of the index.")] = 10


class RadiusWishes(Wishes):
    """All codes within a Hamming distance."""

    radius: Annotated[
        int, Field(ge=0, le=MAX_BITS, description="Largest distance, inclusive; at most n_bits.")
    ]


class SearchRequest(_Codes, SearchWishes):
    """The k nearest codes of each query."""


class RadiusRequest(_Codes, RadiusWishes):
    """All codes within a radius of each query."""


class Neighbours(BaseModel):
    """The answer to one query, ascending (distance, id); the lists have one item a neighbour."""

    query: Annotated[str, Field(description="Code of the query, hex.")]
    ids: list[int]
    distances: list[int]
    keys: Annotated[
        list[str | None] | None,
        Field(
            description="Source keys; null where not asked for, or where a shard that has them is missing."
        ),
    ]
    codes: Annotated[list[str] | None, Field(description="Codes of the neighbours, hex.")]


class SegmentPlan(BaseModel):
    """What the query did in one segment; see hashnet.index.SegmentPlan."""

    segment: int
    n_codes: int
    scan: bool
    substring_bits: list[int]
    substring_radii: list[int]
    expected_probes: float
    expected_candidates: float
    expected_probing_us: float
    expected_scan_us: float
    probes: int
    candidates: int
    verified: int
    matches: int
    time_us: float


class ShardPlan(BaseModel):
    """The plan on one shard."""

    shard: int
    time_us: float
    segments: list[SegmentPlan]


class Plan(BaseModel):
    """The plan of a query; shards work side by side, so that `time_us` is that of the slowest."""

    time_us: float
    shards: list[ShardPlan]


class SearchAnswer(BaseModel):
    """Answers in the order of the queries; not `complete` only where partial ones were asked for."""

    n_bits: int
    fingerprint: str | None
    k: int | None = None
    radius: int | None = None
    complete: bool
    missing: Annotated[list[int], Field(description="Numbers of the shards that did not answer.")]
    answers: list[Neighbours]
    plan: Plan | None = None
    time_ms: Annotated[float, Field(description="From the request's arrival in the service to its answer.")]


class EncodeAnswer(BaseModel):
    """Codes of the images, in their order."""

    n_bits: int
    fingerprint: str | None
    hex: list[str]
    base64: list[str]


class Limits(BaseModel):
    """What a request may ask for."""

    max_body_bytes: int
    max_queries: int
    max_images: int
    max_k: int
    max_radius: int
    max_answers: int
    max_streamed: int
    max_pixels: int
    max_concurrent: int
    timeout_s: float


class Info(BaseModel):
    """What is served."""

    name: Annotated[str, Field(description="Name of the index directory, or `memory`.")]
    version: Annotated[int, Field(description="Counts reloads, from 1.")]
    n_codes: int
    n_bits: int
    fingerprint: str | None
    encodes: Annotated[bool, Field(description="Whether the service has a model for images.")]
    knows_codes: Annotated[bool, Field(description="Whether `with_codes` can be asked.")]
    limits: Limits


class Shard(BaseModel):
    """Replicas of one shard by state."""

    shard: int
    alive: int
    starting: int
    dead: int
    latency_ms: float | None


class Ready(BaseModel):
    """Every shard has a live replica."""

    ready: bool
    shards: list[Shard]


class Alive(BaseModel):
    """The process answers."""

    status: str


class Reloaded(BaseModel):
    """The version that answers from now on."""

    version: int
    n_codes: int


class Problem(BaseModel):
    """An error: `code` is stable, `message` is for people; some codes bring more members."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str


def image_form(wishes: type[Wishes] | None) -> dict[str, Any]:
    """Return the schema of a form with image files and the members of ``wishes``."""
    image = {"type": "string", "format": "binary"}
    properties: dict[str, Any] = {"image": {"type": "array", "items": image, "minItems": 1}}
    required = ["image"]
    if wishes is not None:
        schema = wishes.model_json_schema()
        properties |= schema["properties"]
        required += schema.get("required", [])
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
