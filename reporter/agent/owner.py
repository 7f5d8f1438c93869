"""What the owner of a device decides: consents, and that everything is forgotten."""

from collections.abc import Iterator
from dataclasses import replace

from reporter import state
from reporter.agent.device import Device
from reporter.agent.page import number


def consent(device: Device, purpose: str, *, given: bool) -> Iterator[str]:
    """Writes the answer down; where it is no, what rests on the purpose is gone when this ends."""
    settings = device.settings()
    # First of all: whatever the queue's file is like, from here on nothing is made or sent that rests on it.
    state.write(device.directory.settings, replace(settings, consents=_changed(settings.consents, purpose, given)))
    policy = device.queue.policy(settings.endpoint)
    if policy is not None and purpose not in policy.asks_for:
        yield f"Nothing rests on {purpose} in the tier {policy.tier}; the answer is kept all the same."
    if given:
        yield f"{purpose}: yes. It holds for windows that begin from now on."
        return
    before = device.queue.depth().reports
    device.queue.forget(purpose)
    deleted = max(before - device.queue.depth().reports, 0)
    yield f"{purpose}: no. {number(deleted, 'report')} that rested on it {'was' if deleted == 1 else 'were'} deleted."


def forget(device: Device) -> Iterator[str]:
    """Empties the queue and the evidence. Settings stay, and with them what the device will report from now on."""
    reports = device.queue.depth().reports
    device.queue.empty()
    hours = device.evidence.forget()
    yield f"Deleted: {number(reports, 'report')} that waited, and the evidence of {number(hours, 'hour')}."
    yield "A window that an application or the agent is adding up is not in it yet, and will be queued when it ends."


def _changed(consents: frozenset[str], purpose: str, given: bool) -> frozenset[str]:  # noqa: FBT001  # a person's answer
    return consents | {purpose} if given else consents - {purpose}
