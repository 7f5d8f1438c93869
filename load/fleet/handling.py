"""How a task went on the route that it took: which model served it where, how long it took, what left the device.

The times are made up from tokens: a start, so much a token read, so much a token written, times a factor with a tail.
They are in proportion to each other as those of real hardware are, and prove nothing about any.
"""

from random import Random
from typing import NamedTuple

from load.fleet import models
from load.fleet.demand import Ask
from load.fleet.devices import Profile
from load.fleet.disclosure import crosses_zone
from load.fleet.draft import Draft
from load.fleet.models import Model, Servers, Shelf


class Pace(NamedTuple):
    """Milliseconds: before anything comes, per token read, per token written."""

    start: float
    read: float
    written: float


DEVICE_PACE = {
    "small": Pace(60, 1.6, 70),
    "medium": Pace(45, 0.8, 38),
    "large": Pace(35, 0.45, 22),
    "workstation": Pace(25, 0.14, 11),
}
ROUTE_PACE = {"edge": Pace(28, 0.12, 16), "private_cloud": Pace(70, 0.06, 13), "managed_cloud": Pace(210, 0.05, 10)}

COLD_START_MS = {"small": 6_500, "medium": 4_200, "large": 3_000, "workstation": 2_200}
GIVING_UP_MS = {"timeout": 8_000, "unreachable": 2_500, "capacity": 700, "error": 400, "offline": 150}
"""What a fallback for this reason has cost before it began."""

SPREAD = 0.28
SLOW_SHARE, SLOW_FACTOR = 0.012, 6.0
"""One task in eighty meets something else that runs, and takes six times as long."""

LID_CLOSED = 0.0001
"""Share of laptops' tasks in the midst of which the lid is closed for 5 to 12 hours: beyond the greatest bucket."""

NOTHING_TO_DO = 0.04
"""Share of rule-engine answers that come from a cache, within the same millisecond."""

STREAMED = frozenset({"interactive", "document", "retrieval"})
BYTES_A_TOKEN = 4.2
REQUEST_OVERHEAD = 640

NEIGHBOUR = {
    "eu-west": "eu-north",
    "eu-north": "eu-west",
    "us-east": "us-west",
    "us-west": "us-east",
    "ap-south": "eu-west",
}
VENDOR_REGION = {
    "eu-west": "eu-west",
    "eu-north": "eu-west",
    "us-east": "us-east",
    "us-west": "us-east",
    "ap-south": "ap-south",
}
"""The vendor serves from three of the five regions."""

ELSEWHERE = 0.06
"""Share of private-cloud tasks that the neighbouring region serves."""

PRECISION = {"edge": "fp8", "private_cloud": "bf16", "managed_cloud": "unknown"}


def handle(random: Random, draft: Draft, ask: Ask, profile: Profile, shelf: Shelf, servers: Servers) -> None:
    """Fill in everything that is known once the task is over."""
    route = draft.actual_route
    draft.refused = route == "refused"
    if route in ("refused", "queued"):
        return
    if route == "non_ai":
        draft.latency_ms = 0 if random.random() < NOTHING_TO_DO else random.randrange(1, 60)
        draft.succeeded = random.random() < 0.99
        return
    _serve(random, draft, ask, profile, shelf, servers)
    _time(random, draft, ask, profile)
    _judge_output(random, draft)


def device_model(ask: Ask, profile: Profile, shelf: Shelf) -> str:
    """The name of the model that this device would use for the task, whether it has it or not."""
    if ask.task_kind == "field":
        return models.GUIDE.name
    if ask.task_kind in ("document", "retrieval"):
        return models.DESK.name if models.DESK.name in shelf.files and ask.context > 2_000 else models.SUMMARY.name
    return (
        models.UNLISTED_MODEL
        if profile.unlisted == "model" and models.UNLISTED_MODEL in shelf.files
        else models.CHAT.name
    )


def _server_model(draft: Draft) -> Model:
    search = draft.task_kind == "retrieval"
    match draft.actual_route:
        case "edge":
            return models.SITE_SEARCH if search else models.SITE_CHAT
        case "private_cloud":
            return models.CORE_SEARCH if search else models.CORE_LARGE
    return models.VENDOR_SMALL if draft.input_size == "small" else models.VENDOR_LARGE


def _serve(random: Random, draft: Draft, ask: Ask, profile: Profile, shelf: Shelf, servers: Servers) -> None:
    draft.tokens_in, draft.tokens_out = ask.context, ask.generated
    if draft.actual_route == "on_device":
        draft.model = device_model(ask, profile, shelf)
        draft.model_version = shelf.serving(draft.model, ask.time)
        draft.precision = shelf.precision
    else:
        region = _served_region(random, draft.actual_route, profile.device.region)
        model = _server_model(draft)
        draft.served_region, draft.precision = region, PRECISION[draft.actual_route]
        draft.model, draft.model_version = model.name, servers.serving(model, region, ask.time)
        draft.bytes_sent = round(ask.context * BYTES_A_TOKEN) + REQUEST_OVERHEAD
    if crosses_zone(draft.planned_route, draft.actual_route):
        # Back onto the device comes what the session had left elsewhere.
        draft.bytes_moved = draft.bytes_sent or round(ask.context * BYTES_A_TOKEN / 2)


def _served_region(random: Random, route: str, region: str) -> str:
    if route == "managed_cloud":
        return VENDOR_REGION[region]
    return NEIGHBOUR[region] if route == "private_cloud" and random.random() < ELSEWHERE else region


def _time(random: Random, draft: Draft, ask: Ask, profile: Profile) -> None:
    hardware = profile.device.hardware_tier
    pace = ROUTE_PACE.get(draft.actual_route) or DEVICE_PACE[hardware]
    factor = random.lognormvariate(0, SPREAD) * (SLOW_FACTOR if random.random() < SLOW_SHARE else 1)
    before = GIVING_UP_MS.get(draft.fallback_reason, 0) + (COLD_START_MS[hardware] if draft.cold_start else 0)
    first = before + factor * (pace.start + pace.read * ask.context)
    last = first + factor * pace.written * ask.generated
    if profile.device.kind == "laptop" and random.random() < LID_CLOSED:
        last += random.randrange(5, 12) * 3_600_000
    draft.latency_ms = round(last)
    if draft.task_kind in STREAMED:
        draft.first_token_ms = round(first)


def _judge_output(random: Random, draft: Draft) -> None:
    draft.succeeded = random.random() < (0.93 if draft.degraded else 0.985)
    if draft.task_kind in ("action", "field") or random.random() < 0.3:
        draft.contract_checked = True
        draft.contract_valid = draft.succeeded and random.random() < (
            0.90 if draft.actual_route == "on_device" else 0.97
        )
    if draft.task_kind == "retrieval" or (draft.task_kind == "document" and random.random() < 0.4):
        draft.citations_expected = random.randrange(1, 7)
        missing = random.randrange(3) if draft.degraded or random.random() < 0.1 else 0
        draft.citations_present = max(draft.citations_expected - missing, 0)
