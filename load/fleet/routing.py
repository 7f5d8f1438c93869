"""The routing policy: where a task should go and why, before anything is known of what fails on the way.

The rows of the disclosure table come first; what no row speaks of goes by size, capability and cost. A device plans by
what it knows: its own hardware, whether it has a network, and whether its site's machines were free a moment ago.
"""

from random import Random
from typing import NamedTuple

from load.fleet.demand import Ask
from load.fleet.devices import Profile

FITS = {"small": 900, "medium": 2_800, "large": 5_000, "workstation": 16_000}
"""Tokens of context that a device of each hardware tier can hold in mind."""

USER_CHOICE = 0.05
AFFINITY = 0.3
RULE_ENGINE = 0.4
"""Share of local actions that need no model."""

VENDOR_CLASSES = frozenset({"public", "internal"})
"""Classes of data that may go to the vendor without a fallback's consent."""

POLICY_VERSIONS = ("7.2.1", "7.3.0")
"""The routing policy in force, and the one that is being rolled out."""


class Plan(NamedTuple):
    """A route and the reason for it."""

    route: str
    reason: str


class Surroundings(NamedTuple):
    """What the router knows of the moment: a site near by, whether it looks full, the route of the session so far."""

    site_near: bool
    site_busy: bool
    session_route: str | None


def plan(random: Random, ask: Ask, profile: Profile, around: Surroundings) -> Plan:
    """Where the policy sends a task."""
    ruled = _by_rule(ask, profile)
    if ruled is not None:
        return ruled
    match ask.task_kind:
        case "field":
            return Plan("on_device", "connectivity" if ask.roaming or ask.offline else "deadline")
        case "action":
            return _action(random, ask)
        case "interactive":
            return _interactive(ask, profile, around)
        case "document":
            return _document(random, ask, around)
    return _retrieval(random, ask, around)


def fits(ask: Ask, profile: Profile) -> bool:
    """The device can hold the whole context."""
    return ask.context <= FITS[profile.device.hardware_tier]


def _by_rule(ask: Ask, profile: Profile) -> Plan | None:
    """What the disclosure table asks for, where it speaks of the task (D6, D1, D2, D3 in this order)."""
    if ask.authority == "needs_central" and ask.offline:
        return Plan("refused", "privacy_required") if ask.data_class == "restricted" else Plan("queued", "connectivity")
    if ask.data_class == "restricted":
        if not ask.approved:
            return Plan("refused", "privacy_required")
        return Plan("on_device" if fits(ask, profile) else "edge", "privacy_required")
    if ask.data_class == "confidential" and ask.task_kind == "retrieval":
        return Plan("private_cloud", "privacy_required")
    if (ask.data_class, ask.task_kind, ask.input_size) == ("public", "document", "large"):
        return Plan("managed_cloud", "quality")
    return None


def _action(random: Random, ask: Ask) -> Plan:
    if ask.authority == "needs_central":
        return Plan("private_cloud", "tool_required")
    return Plan("non_ai", "cost") if random.random() < RULE_ENGINE else Plan("on_device", "tool_required")


def _interactive(ask: Ask, profile: Profile, around: Surroundings) -> Plan:
    if fits(ask, profile):
        return Plan("on_device", "default")
    if around.site_near and not around.site_busy:
        return Plan("edge", "context_size" if ask.input_size == "large" else "capability")
    if ask.data_class in VENDOR_CLASSES:
        return Plan("managed_cloud", "capacity" if around.site_near else "capability")
    return Plan("private_cloud", "capability")


def _document(random: Random, ask: Ask, around: Surroundings) -> Plan:
    if ask.data_class in VENDOR_CLASSES and random.random() < USER_CHOICE:
        return Plan("managed_cloud", "user_choice")
    if ask.input_size == "small":
        return Plan("on_device", "cost")
    if around.session_route in ("edge", "private_cloud") and random.random() < AFFINITY:
        return Plan(around.session_route, "session_affinity")
    if ask.input_size == "large" or not around.site_near:
        return Plan("private_cloud", "quality")
    return Plan("private_cloud", "capacity") if around.site_busy else Plan("edge", "default")


def _retrieval(random: Random, ask: Ask, around: Surroundings) -> Plan:
    if around.session_route == "edge" and random.random() < AFFINITY:
        return Plan("edge", "session_affinity")
    if around.site_near and ask.input_size == "small":
        return Plan("edge", "deadline")
    return Plan("private_cloud", "default")
