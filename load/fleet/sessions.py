"""One session played: each request planned, perhaps moved elsewhere, handled; then how long fallbacks lasted.

The order within a task: what is asked, where it should go, why it cannot, where it goes instead and with whose
consent, what is told; then a few rules are broken on purpose; then it is handled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from load.fleet.breaches import break_rules
from load.fleet.dealing import Session
from load.fleet.demand import Ask, make_ask
from load.fleet.devices import Profile
from load.fleet.disclosure import ZONES, owed, violations_of
from load.fleet.draft import Draft, begin
from load.fleet.fallback import DISTANCE, SPELLS, Reach, consent_for, where_to, why_left
from load.fleet.handling import device_model, handle
from load.fleet.models import ON_DEVICE, Servers, Shelf, wanted_version
from load.fleet.routing import POLICY_VERSIONS, Surroundings, fits, plan
from load.fleet.world import World

COLD_SHARE = 0.3
"""Share of sessions in which a model on the device has to be loaded when it is first asked."""

SPELL_SECONDS = 70.0
"""How long a route is avoided after an error or a timeout, on average."""

RETRIED = 0.02
CANARY_SHARE = 0.3
FOUND_BACK_LATER = 0.6
"""Share of spells at the end of a session whose end a background probe finds."""

VOLUNTARY = {"residency": 0.5, "source_references": 0.6, "offline_model_version": 0.7, "telemetry_path": 0.3}
"""Share of tasks for which something is told although no rule asks for it, where there is something to tell."""

REVOKED = {(model.name, model.revoked) for model in ON_DEVICE}
NEAR_SITE = frozenset({"office", "vpn"})


@dataclass(slots=True)
class Setting:
    """Everything around a session but the session; the same for all of one fleet."""

    random: Random
    world: World
    servers: Servers
    shelves: Sequence[Shelf]
    policy_since: Sequence[int]
    window_ms: Mapping[str, int]
    """Tier -> length of its windows."""


@dataclass(slots=True)
class _State:
    """What a session remembers: its route, the models that are loaded, and the routes it avoids, until when and why."""

    route: str | None = None
    loaded: set[str] = field(default_factory=set)
    avoided: dict[str, tuple[str, int]] = field(default_factory=dict)


def play(setting: Setting, session: Session) -> list[Draft]:
    """The tasks of a session, complete."""
    state = _State()
    random, profile = setting.random, session.profile
    drafts = []
    for request in session.requests:
        ask = make_ask(random, profile, setting.world, time=request.time, request=request)
        drafts.append(_one(setting, state, ask, profile))
    for number, draft in enumerate(drafts):
        if draft.fell_back and draft.fallback_reason in SPELLS:
            _time_in_fallback(setting, profile, drafts, number)
    return drafts


def _one(setting: Setting, state: _State, ask: Ask, profile: Profile) -> Draft:
    random, shelf = setting.random, setting.shelves[profile.device.index]
    reach = _reach(setting, state, ask, profile)
    around = Surroundings(
        site_near=reach.edge != "unreachable",
        site_busy=reach.edge == "capacity" and random.random() < 0.5,
        session_route=state.route,
    )
    newer = ask.time >= setting.policy_since[profile.device.index]
    draft = begin(profile.device.index, ask, plan(random, ask, profile, around), policy_version=POLICY_VERSIONS[newer])
    if draft.planned_route == "on_device":
        draft.planned_model = device_model(ask, profile, shelf)
    _route(random, draft, ask, state, reach)
    _tell(random, draft)
    break_rules(random, draft)
    if draft.actual_route == "edge":
        setting.world.take_slot(profile.device.site, ask.time)
    draft.cold_start = draft.actual_route == "on_device" and reach.cold
    draft.attempts = _attempts(random, draft)
    handle(random, draft, ask, profile, shelf, setting.servers)
    draft.violations = violations_of(draft)
    _remember(state, draft)
    return draft


def _reach(setting: Setting, state: _State, ask: Ask, profile: Profile) -> Reach:
    random, world, device = setting.random, setting.world, profile.device
    shelf = setting.shelves[device.index]
    model = device_model(ask, profile, shelf)
    version = shelf.serving(model, ask.time)
    offline = "offline" if ask.offline else None
    return Reach(
        edge=offline or _site_trouble(world, profile, ask),
        private_cloud=offline or ("unreachable" if ask.time in world.private_down[device.region] else None),
        managed_cloud=offline or ("capacity" if ask.time in world.vendor_full[device.region] else None),
        on_device_model=version is not None and fits(ask, profile),
        version_state=_state_of(model, version, profile),
        cold=model not in state.loaded and random.random() < COLD_SHARE,
    )


def _site_trouble(world: World, profile: Profile, ask: Ask) -> str | None:
    device = profile.device
    if ask.roaming or device.network_context not in NEAR_SITE or ask.time in world.site_down[device.site]:
        return "unreachable"
    return "capacity" if world.is_full(device.site, ask.time) else None


def _state_of(model: str, version: str | None, profile: Profile) -> str:
    if version is None:
        return "missing"
    if (model, version) in REVOKED:
        return "revoked"
    wanted = wanted_version(model, profile.device.region, profile.device.index)
    return "current" if wanted in (None, version) else "stale"


def _route(random: Random, draft: Draft, ask: Ask, state: _State, reach: Reach) -> None:
    """Leave the planned route where there is a reason to, or where it is still avoided for an earlier one."""
    planned = draft.planned_route
    reason, until = state.avoided.get(planned, ("", 0))
    if ask.time >= until:
        reason = why_left(random, ask, planned, reach) or ""
        if reason in ("timeout", "error"):
            state.avoided[planned] = reason, ask.time + round(random.expovariate(1 / SPELL_SECONDS) * 1000)
    if not reason:
        return
    draft.fallback_reason = reason
    draft.actual_route = where_to(random, ask, planned, reach)
    draft.consent = consent_for(random, planned, draft.actual_route)
    if draft.consent == "denied":
        draft.actual_route = "refused"
    draft.degraded = _is_weaker(planned, draft.actual_route)


def _is_weaker(planned: str, actual: str) -> bool:
    """The fallback answers with less than was planned: nearer to the device, or without a model."""
    if actual == "non_ai":
        return True
    return planned in ZONES and actual in ZONES and DISTANCE[ZONES[actual]] < DISTANCE[ZONES[planned]]


def _tell(random: Random, draft: Draft) -> None:
    told = set(owed(draft))
    route = draft.actual_route
    possible = {
        "residency": route in ("private_cloud", "managed_cloud"),
        "source_references": draft.task_kind == "retrieval" and route in ZONES,
        "offline_model_version": draft.offline and route == "on_device",
        "telemetry_path": route == "managed_cloud",
    }
    told |= {name for name, can in possible.items() if can and random.random() < VOLUNTARY[name]}
    draft.disclosures = frozenset(told)


def _attempts(random: Random, draft: Draft) -> int:
    if draft.fell_back and draft.fallback_reason in ("timeout", "unreachable", "error", "capacity"):
        return 2 + (random.random() < 0.35) + (random.random() < 0.1)
    return 1 + (random.random() < RETRIED)


def _remember(state: _State, draft: Draft) -> None:
    if draft.actual_route in ZONES:
        state.route = draft.actual_route
    if draft.actual_route == "on_device" and draft.model:
        state.loaded.add(draft.model)


def _time_in_fallback(setting: Setting, profile: Profile, drafts: Sequence[Draft], number: int) -> None:
    """How long the planned route was left with this task, within its window; and the way back, where it ended there."""
    random, draft = setting.random, drafts[number]
    length = setting.window_ms[profile.device.tier]
    window_end = draft.time - draft.time % length + length
    following = next((other for other in drafts[number + 1 :] if other.planned_route == draft.planned_route), None)
    until = min(window_end, following.time) if following else min(window_end, draft.time + 60_000)
    goes_on = following is not None and following.fell_back and following.fallback_reason in SPELLS
    back = not goes_on and (following is not None or random.random() < FOUND_BACK_LATER)
    if back:
        until = draft.time + round((until - draft.time) * random.random())
        draft.returned_after_s = (until - _spell_start(drafts, number)) // 1000
        draft.returned_by_canary = random.random() < CANARY_SHARE
    draft.seconds_in_fallback = (until - draft.time) // 1000


def _spell_start(drafts: Sequence[Draft], number: int) -> int:
    """When the planned route of a task was left first, in the spell that it is in."""
    start = drafts[number].time
    for other in reversed(drafts[:number]):
        if other.planned_route == drafts[number].planned_route:
            if not (other.fell_back and other.fallback_reason in SPELLS):
                break
            start = other.time
    return start
