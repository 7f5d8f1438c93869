"""Leaving the planned route: why, where to instead, and whether anybody agreed.

A route is left for what the world does (offline, a site full or down, a cloud that cannot be reached), for what the
device has (a model missing, stale, revoked or cold), and now and then for an error. Where to is a short list per kind
of task that keeps the disclosure table; the first that can be reached is taken.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from load.fleet.demand import Ask
from load.fleet.disclosure import ZONES
from load.fleet.routing import VENDOR_CLASSES

DISTANCE = {"device": 0, "site": 1, "private": 2, "vendor": 3}
"""A fallback into a zone further away than the planned one needs somebody's consent."""

CONSENTS_TO_VENDOR = {"granted": 0.60, "approved_by_admin": 0.33, "denied": 0.07}
CONSENTS_INSIDE = {"granted": 0.28, "approved_by_admin": 0.70, "denied": 0.02}

TROUBLE = {
    "on_device": {"error": 0.004, "timeout": 0.006, "capability": 0.006, "quality": 0.006},
    "edge": {"error": 0.004, "timeout": 0.010, "capability": 0.002},
    "private_cloud": {"error": 0.003, "timeout": 0.008},
    "managed_cloud": {"error": 0.003, "timeout": 0.008, "policy": 0.004},
}
"""Share of a route's tasks that leave it for reasons that lie in no outage."""

COLD_IS_TOO_SLOW = 0.10
"""Share of cold starts for which an interactive task does not wait."""

STALE_IS_TOO_OLD = 0.01
REVOKED_IS_REFUSED = 0.6

SPELLS = frozenset({"offline", "unreachable", "capacity", "timeout", "error", "cold_model"})
"""Reasons that last for a while, so that there is a way back. The others lie in the task or in a file."""


class Reach(NamedTuple):
    """What can be reached at the moment of a task, and what the device would use itself."""

    edge: str | None
    """None where the site can be used, else why not."""
    private_cloud: str | None
    managed_cloud: str | None
    on_device_model: bool
    """The device has the model and can hold the context."""
    version_state: str
    """missing, revoked, stale or current: the state of the file that the device would use."""
    cold: bool

    def trouble(self, route: str) -> str | None:
        """Why `route` cannot be taken; None where it can."""
        match route:
            case "edge":
                return self.edge
            case "private_cloud":
                return self.private_cloud
            case "managed_cloud":
                return self.managed_cloud
            case "on_device":
                return None if self.on_device_model else "model_missing"
        return None


def why_left(random: Random, ask: Ask, planned: str, reach: Reach) -> str | None:
    """The reason for leaving the planned route; None where it is taken."""
    reason = _device_trouble(random, ask, reach) if planned == "on_device" else reach.trouble(planned)
    if reason is not None or planned not in TROUBLE:
        return reason
    draw = random.random()
    for reason, share in TROUBLE[planned].items():
        draw -= share
        if draw < 0:
            return reason
    return None


def _device_trouble(random: Random, ask: Ask, reach: Reach) -> str | None:
    match reach.version_state:
        case "missing":
            return "model_missing"
        case "revoked" if random.random() < REVOKED_IS_REFUSED:
            return "policy"
        case "stale" if random.random() < STALE_IS_TOO_OLD:
            return "model_stale"
    if reach.cold and ask.task_kind == "interactive" and random.random() < COLD_IS_TOO_SLOW:
        return "cold_model"
    return None


def where_to(random: Random, ask: Ask, planned: str, reach: Reach) -> str:
    """The route that is taken instead of the planned one."""
    for route in _alternatives(random, ask, planned):
        if route != planned and reach.trouble(route) is None:
            return route
    return "queued"


def _alternatives(random: Random, ask: Ask, planned: str) -> Sequence[str]:
    """In order of preference; each list keeps every rule that speaks of the task, and ends with failing closed."""
    if ask.data_class == "restricted":
        # On the device an interactive task has nowhere to go that both D1 and D5 allow.
        inside = not (ask.task_kind == "interactive" and planned == "on_device") and random.random() < 0.6
        return ("private_cloud", "refused") if inside else ("refused",)
    if ask.task_kind == "retrieval" and ask.data_class == "confidential":
        return ("queued",) if random.random() < 0.6 else ("refused",)
    if ask.authority == "needs_central" or (ask.task_kind == "field" and ask.offline):
        return ("queued",)
    if (
        planned == "managed_cloud"
        and ask.task_kind == "document"
        and ask.data_class == "public"
        and ask.input_size == "large"
    ):
        return ("on_device", "edge", "queued")
    return tuple(_by_kind(ask, planned))


def _by_kind(ask: Ask, planned: str) -> Iterator[str]:
    vendor = ["managed_cloud"] if ask.data_class in VENDOR_CLASSES else []
    match ask.task_kind, planned:
        case "interactive", "on_device":
            yield "managed_cloud"
        case "action", _:
            yield "non_ai"
        case "field" | "document", "on_device":
            yield from ("edge", "private_cloud")
        case "interactive", "edge":
            yield from (*vendor, "private_cloud", "on_device")
        case _, "private_cloud":
            yield from ("edge", *vendor, "on_device")
        case _:
            yield from ("private_cloud", "on_device")


def consent_for(random: Random, planned: str, actual: str) -> str:
    """What somebody said to the fallback; `not_required` where the data do not go further away than planned."""
    from_zone, to_zone = ZONES.get(planned), ZONES.get(actual)
    if to_zone is None or (from_zone is not None and DISTANCE[to_zone] <= DISTANCE[from_zone]):
        return "not_required"
    consents = CONSENTS_TO_VENDOR if to_zone == "vendor" else CONSENTS_INSIDE
    return random.choices(tuple(consents), tuple(consents.values()))[0]
