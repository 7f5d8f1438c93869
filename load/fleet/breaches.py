"""The disclosure table broken on purpose, at known rates, so that there is something to be found.

A breach changes what happened or what was told, never the claim: `violations` of a task always says what its other
facts say (`load.fleet.disclosure.violations_of`).
"""

from random import Random

from load.fleet.disclosure import ZONES, crosses_zone, rules_for
from load.fleet.draft import Draft
from load.fleet.fallback import DISTANCE

BREACH_RATE = 0.004
"""Share of the tasks that a rule speaks of whose rule is broken. Where a device is offline, only what it tells can be
wrong, so D1, D3 and D5 are kept there."""

SILENT_RATE = 0.012
"""Share of the fallbacks into another zone of which nobody was asked, or nobody was told."""

NEEDS_NETWORK = frozenset({"D1", "D3", "D5"})


def break_rules(random: Random, draft: Draft) -> None:
    """Break one rule of a few tasks, and pass over consent or disclosure of a few fallbacks."""
    rules = list(rules_for(draft))
    if rules and random.random() < BREACH_RATE:
        rule = random.choice(rules)
        if not (draft.offline and rule in NEEDS_NETWORK):
            _break(random, draft, rule)
    elif crosses_zone(draft.planned_route, draft.actual_route) and random.random() < SILENT_RATE:
        _be_silent(random, draft)


def _break(random: Random, draft: Draft, rule: str) -> None:
    match rule:
        case "D2" if draft.actual_route == "private_cloud" and random.random() < 0.7:
            draft.disclosures -= {random.choice(("residency", "source_references"))}
        case "D3" if draft.fell_back and draft.actual_route in ZONES:
            draft.disclosures -= {"quality_difference"}
        case "D3":
            _move(draft, "private_cloud", reason="capacity", consent="not_required")
        case "D4" if draft.actual_route == "on_device":
            draft.disclosures -= {"offline_model_version"}
        case "D6" | "D4":
            # Offline there is no other place for it than the device.
            _move(draft, "on_device", reason="policy", consent="not_required")
        case "D2" if draft.offline:
            _move(draft, "on_device", reason="offline", consent="not_required")
        case "D1" | "D2" | "D5":
            _move(
                draft, "managed_cloud", reason="capability", consent=random.choice(("not_asked", "not_asked", "denied"))
            )


def _be_silent(random: Random, draft: Draft) -> None:
    from_zone = ZONES.get(draft.planned_route)
    outwards = from_zone is None or DISTANCE[ZONES[draft.actual_route]] > DISTANCE[from_zone]
    kind = random.choice(("not_asked", "denied", "undisclosed", "undisclosed")) if outwards else "undisclosed"
    if kind == "undisclosed":
        draft.disclosed = "undisclosed"
        draft.disclosures -= {"fallback_shown"}
    else:
        draft.consent = kind


def _move(draft: Draft, route: str, *, reason: str, consent: str) -> None:
    draft.actual_route, draft.fallback_reason, draft.consent = route, reason, consent
    draft.disclosures |= {"fallback_shown", "telemetry_path"}
    draft.refused = False
