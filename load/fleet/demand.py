"""What a task asks for: its kind, the class of its data, its size, and who may decide it. Drawn per device and request.

Nothing here knows a route; `load.fleet.routing` decides where a task goes.
"""

from random import Random
from typing import NamedTuple

from load.fleet.devices import Profile
from load.fleet.trace import Request
from load.fleet.world import World

KINDS = {"interactive": 0.40, "document": 0.24, "retrieval": 0.18, "action": 0.14, "field": 0.04}
FIELD_KINDS = {"interactive": 0.22, "document": 0.10, "retrieval": 0.10, "action": 0.18, "field": 0.40}

CLASSES = {
    "interactive": {"public": 0.25, "internal": 0.50, "confidential": 0.18, "restricted": 0.07},
    "document": {"public": 0.35, "internal": 0.40, "confidential": 0.17, "restricted": 0.08},
    "retrieval": {"public": 0.15, "internal": 0.45, "confidential": 0.35, "restricted": 0.05},
    "action": {"public": 0.10, "internal": 0.65, "confidential": 0.17, "restricted": 0.08},
    "field": {"public": 0.10, "internal": 0.70, "confidential": 0.15, "restricted": 0.05},
}

NEEDS_CENTRAL = {"action": 0.55, "field": 0.15}
"""Share of a kind's tasks that a central authority has to decide; of the other kinds none."""

SMALL_BELOW, LARGE_FROM = 400, 1_200
"""Tokens of context: about the quarter and three quarters of the real trace (396 and 1,189)."""

DRAWS = {name: (tuple(shares), tuple(shares.values())) for name, shares in CLASSES.items()}


class Ask(NamedTuple):
    """A task before anybody decided where it goes. `time` in milliseconds since the epoch."""

    time: int
    task_kind: str
    data_class: str
    input_size: str
    authority: str
    approved: bool
    """The device may handle this class of data."""
    context: int
    generated: int
    offline: bool
    roaming: bool


def make_ask(random: Random, profile: Profile, world: World, *, time: int, request: Request) -> Ask:
    """The task that a request of the trace becomes on a device."""
    kinds = FIELD_KINDS if profile.field_worker else KINDS
    kind = random.choices(tuple(kinds), tuple(kinds.values()))[0]
    classes, shares = DRAWS[kind]
    data_class = random.choices(classes, shares)[0]
    return Ask(
        time=time,
        task_kind=kind,
        data_class=data_class,
        input_size=size_of(request.context),
        authority="needs_central" if random.random() < NEEDS_CENTRAL.get(kind, 0) else "local_safe",
        approved=profile.approved or data_class != "restricted",
        context=request.context,
        generated=request.generated,
        offline=world.is_offline(profile, time),
        roaming=world.is_roaming(profile, time),
    )


def size_of(context: int) -> str:
    """small, medium or large."""
    if context < SMALL_BELOW:
        return "small"
    return "medium" if context < LARGE_FROM else "large"
