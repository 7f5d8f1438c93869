"""`show`: the exact next bytes, what they say, what was taken off before that, and what the gate makes of them.

What is shown is put together as the sender does it, by the policy and the consents of this moment: identifiers are in
these bytes and in no file.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

from reporter.agent import at_the_gate
from reporter.agent.device import Device
from reporter.agent.page import facts, hexdump, number, table, time
from reporter.agent.refused import Refused
from reporter.agent.sample import sample
from reporter.messages import FINGERPRINT_BYTES, with_identifiers
from reporter.policy import LEAST, Policy
from reporter.queue.nouns import Queued, Waiting
from reporter.reports import IDENTIFIERS, MARKER, for_avro
from reporter.state import Settings
from reporter.strip import identifiers

HEADER_BYTES = len(MARKER) + FINGERPRINT_BYTES


def next_ones(device: Device, settings: Settings, count: int) -> list[Waiting]:
    """The next reports to go, oldest first; raises `Refused` where there is none."""
    policy = device.queue.policy(settings.endpoint)
    found = device.queue.peek(None if policy is None else policy.tier, count)
    if not found:
        raise Refused(
            "nothing waits: all that was closed was sent, and what is being added up is not in the queue yet; "
            f"`{device.command} show --sample` shows a made-up report of this device"
        )
    return found


def made_up(device: Device, settings: Settings) -> list[Waiting]:
    """A sample in the place of what waits; raises `Refused` where the tier takes none."""
    found = sample(settings, device.queue.policy(settings.endpoint), device.clock)
    if found is None:
        raise Refused("the tier takes no report of this device")
    return [found]


def as_sent(device: Device, settings: Settings, waiting: Waiting) -> bytes:
    """The bytes of a report as they would be sent now."""
    queued = waiting.queued
    return with_identifiers(queued.message, _identifiers(_policy(device, settings), settings, queued.report))


def shown(device: Device, settings: Settings, waiting: Waiting) -> Iterator[str]:
    """Everything there is to know of a report, in lines."""
    queued, content = waiting.queued, as_sent(device, settings, waiting)
    policy = _policy(device, settings)
    known = (
        f"tier {queued.tier}, policy version {queued.policy_version}" if queued.tier else "any tier: no policy known"
    )
    yield from facts(
        (
            ("report", f"{queued.report}, {number(len(content), 'byte')}"),
            ("window", f"{time(queued.window_start)} to {time(queued.window_end)} UTC"),
            ("goes out", _when(device, queued)),
            ("made for", known),
            ("rests on", ", ".join(sorted(queued.purposes)) or "no consent"),
            ("carries", ", ".join(_identifiers(policy, settings, queued.report)) or "no identifier"),
            ("never sent", ", ".join(_kept_here(policy, settings, queued.report)) or "-"),
        )
    )
    yield ""
    yield from _taken_off(waiting)
    yield ""
    yield "The bytes, which go behind their length and with the others into one compressed body:"
    yield from hexdump(content)
    yield ""
    yield "What they say:"
    yield json.dumps(decoded(queued.report, content), indent=2)


def document(device: Device, settings: Settings, waiting: Waiting) -> dict[str, Any]:
    """The same for machines."""
    queued, content = waiting.queued, as_sent(device, settings, waiting)
    return {
        "report": queued.report,
        "tier": queued.tier,
        "policy_version": queued.policy_version,
        "rests_on": sorted(queued.purposes),
        "taken_off": [taken._asdict() for taken in queued.taken_off],
        "bytes": content.hex(),
        "values": decoded(queued.report, content),
    }


def checked(found: dict[str, Any]) -> Iterator[str]:
    """The gate's own answer about a report, in lines."""
    if found.get("outcome") != "accepted":
        yield f"The gate would refuse it: {found.get('reason', 'no reason')}."
        yield json.dumps(found, indent=2)
        return
    yield f"The gate would store it in {found.get('topic')}, under policy version {found.get('policy_version')}."
    off = [(str(one.get("action")), str(one.get("field"))) for one in found.get("taken_off", [])]
    if off:
        yield "It would still change:"
        yield from ("  " + line for line in table(("action", "field"), off))
    else:
        yield "It would take nothing more off."
    yield json.dumps(found.get("stripped"), indent=2)


def check(device: Device, settings: Settings, waiting: Waiting) -> dict[str, Any]:
    """What the gate would make of it; raises `Refused`."""
    try:
        return at_the_gate.check(settings, waiting.queued.report, as_sent(device, settings, waiting))
    except at_the_gate.NotReached as why:
        raise Refused(f"the gate could not be asked: {why}") from None


def decoded(report: str, content: bytes) -> dict[str, Any]:
    """A message as JSON can show it: bytes in base 16."""
    import fastavro  # noqa: PLC0415  # late, as everywhere in here

    body = io.BytesIO(content[HEADER_BYTES:])
    parsed = fastavro.parse_schema(for_avro(report))
    found: Any = fastavro.schemaless_reader(body, parsed, None)
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    return value


def _policy(device: Device, settings: Settings) -> Policy:
    return device.queue.policy(settings.endpoint) or LEAST


def _identifiers(policy: Policy, settings: Settings, report: str) -> dict[str, str]:
    if not policy.takes(report):
        return {}
    return identifiers(settings.identifiers, report=report, policy=policy, consents=settings.consents)


def _kept_here(policy: Policy, settings: Settings, report: str) -> list[str]:
    """Identifiers that the settings have and no such report carries."""
    carried = _identifiers(policy, settings, report)
    return [name for name in IDENTIFIERS if name in settings.identifiers and name not in carried]


def _when(device: Device, queued: Queued) -> str:
    """A window that a tier wants in whole hours waits for the end of its last one."""
    if queued.not_before_ms <= device.clock.now_ms():
        return "with what is sent next"
    return f"not before {time(queued.not_before_ms)} UTC, for its window is not over yet"


def _taken_off(waiting: Waiting) -> Iterator[str]:
    taken_off = waiting.queued.taken_off
    if not taken_off:
        yield "Nothing had to be taken off before it was queued."
        return
    yield "Taken off before it was queued:"
    rows = [(one.action, one.field, number(one.values, "value")) for one in taken_off]
    yield from ("  " + line for line in table(("action", "field", "values"), rows))
