"""`status`: how reporting goes on this device, from its files, and from the agent where one runs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from reporter.agent.asking import STATUS, ask
from reporter.agent.at_the_gate import WHY
from reporter.agent.device import Device
from reporter.agent.page import facts, number, time
from reporter.queue.counts import ACCEPTED, CLOSED, DAMAGED, DELAYED, DISCARDED, LOST, UPLOADED
from reporter.reports import PURPOSES

AGENT_SECONDS = 3.0

CIRCUITS = {"closed": "sending", "open": "waiting after failures", "half_open": "trying again"}


def status(device: Device) -> dict[str, Any]:
    """Everything, for machines; no token, no identifier, no value of a task. Raises `Refused`, `Unavailable`."""
    settings = device.settings()
    policy = device.queue.policy(settings.endpoint)
    known = None if policy is None else {"tier": policy.tier, "version": policy.version, "etag": policy.etag}
    return {
        "endpoint": settings.endpoint,
        "policy": known,
        "consents": {purpose: purpose in settings.consents for purpose in PURPOSES},
        "on_tier_change": settings.on_tier_change,
        "queue": asdict(device.queue.status()),
        "agent": ask(device.directory, STATUS, seconds=AGENT_SECONDS),
    }


def told(found: Mapping[str, Any]) -> Iterator[str]:
    """The same in lines."""
    queue, policy = found["queue"], found["policy"]
    totals = queue["totals"]
    yield from facts(
        (
            ("endpoint", found["endpoint"]),
            ("policy", f"tier {policy['tier']}, version {policy['version']}" if policy else NOT_KNOWN),
            ("consents", ", ".join(f"{name} {'yes' if given else 'no'}" for name, given in found["consents"].items())),
            ("queue", _depth(queue["depth"])),
            ("held back", _named(queue["held"]) or "none"),
            ("last answer", _answer(queue["facts"]["answer"], found["endpoint"])),
            ("accepted", f"{number(totals.get(ACCEPTED, 0), 'report')} of {totals.get(CLOSED, 0):,}"),
            ("discarded", _beginning(totals, DISCARDED)),
            ("lost", _beginning(totals, LOST) + (", and a damaged file" if totals.get(DAMAGED) else "")),
            ("sent", f"{number(totals.get(UPLOADED, 0), 'byte')}; {totals.get(DELAYED, 0):,} late"),
            ("windows open", str(queue["open_windows"])),
            *_agent(found["agent"]),
        )
    )


CAUSES = {
    "queue_full": "the oldest, for want of room",
    "too_old": "too old for the gate",
    "in_future": "made by a clock that was far ahead",
    "disk_full": "while the disk was full",
    "killed": "open when their process was killed",
    "consent_withdrawn": "resting on a consent that was withdrawn",
    "tier_changed": "made for another tier",
    "emptied": "emptied by the owner",
    "damaged_row": "damaged",
    "no_settings": "when there were no settings any more",
    "unfit": "which this program could not write",
    "error": "by an error of this program",
}
"""Why reports were lost, as the queue counts it."""

NOT_KNOWN = "not known yet: reports say only what is operational, in whole hours"


def _depth(depth: Mapping[str, Any]) -> str:
    if not depth["reports"]:
        return "empty"
    oldest = f"oldest window {time(depth['oldest_ms'])} UTC"
    return f"{number(depth['reports'], 'report')}, {number(depth['bytes'], 'byte')}, {oldest}"


def _answer(answer: Mapping[str, Any] | None, endpoint: str) -> str:
    if answer is None or answer.get("endpoint", endpoint) != endpoint:
        return "none yet"
    if answer["status"]:
        said = f"HTTP {answer['status']}, {answer['reason'] or 'all taken'}"
    else:
        said = f"none: {WHY.get(answer['reason'], answer['reason'])}"
    return f"{time(answer['at_ms'])} UTC: {said}; {CIRCUITS.get(answer['circuit'], answer['circuit'])}"


def _beginning(totals: Mapping[str, int], prefix: str) -> str:
    names = {name: name.removeprefix(prefix) for name in totals if name.startswith(prefix)}
    return _named({CAUSES.get(short, short): totals[name] for name, short in names.items()}) or "none"


def _named(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{of:,} {name}" for name, of in numbers.items())


def _agent(agent: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(agent, dict):
        yield "agent", "none runs here; each application reports by itself"
        return
    yield "agent", f"since {time(agent['running_since_ms'])} UTC; {number(agent['taken'], 'observation')} taken"
    spans = agent["spans"]
    if spans is not None:
        yield "spans", f"{number(spans['spans'], 'span')}, of which {number(spans['tasks'], 'task')}"
    reporter = agent["reporter"]
    yield "its window", number(reporter.get("tasks_in_window", 0), "task")
    trouble = [*filter(None, [reporter["why"], reporter.get("trouble")]), *reporter["errors"], *reporter["misused"]]
    yield "its errors", ", ".join(trouble) or "none"
