"""`init`: a device that has an endpoint and a token becomes one that reports.

The token is read from a file or from stdin, never from the command line, which others can read in a list of processes.
What is not said stays as it was: a second `init` changes what it is told and nothing else.
"""

import sys
from collections.abc import Iterator, Mapping
from getpass import getpass
from pathlib import Path
from typing import Any

from reporter import state
from reporter.agent import at_the_gate, policy_told
from reporter.agent.device import Device
from reporter.agent.device_facts import detected
from reporter.agent.refused import Refused
from reporter.agent.sample import sample
from reporter.agent.showing import as_sent
from reporter.configuring import configured
from reporter.reports import PURPOSES
from reporter.state import BadSettings, Settings

LONGEST_LINE = 4096
STDIN = "-"


def token_from(file: str | None) -> str:
    """The token in a file, or on stdin; at a terminal it is asked for without being shown. Raises `Refused`."""
    token = _asked_for() if file in (None, STDIN) and sys.stdin.isatty() else _first_line(file)
    if not token:
        raise Refused(
            "there is no token: put it into a file, and say `init URL < FILE` or `init URL --token-file FILE`"
        )
    return token


def _asked_for() -> str:
    try:
        return getpass("Token (it is not shown): ").strip()
    except EOFError:
        return ""


def _first_line(file: str | None) -> str:
    try:
        with sys.stdin if file in (None, STDIN) else Path(str(file)).open(encoding="ascii") as lines:
            return lines.readline(LONGEST_LINE).strip()
    except (OSError, UnicodeDecodeError):
        raise Refused("the file with the token cannot be read") from None


def set_up(device: Device, endpoint: str, token: str, said: Mapping[str, Any]) -> Iterator[str]:
    """Writes the settings, then asks the gate what holds; `said` are further settings, facts among them."""
    settings = _written(device, endpoint, token, said)
    yield f"Settings are in {device.directory.settings}, which only you can read."
    given = {purpose: "yes" if purpose in settings.consents else "no" for purpose in PURPOSES}
    yield f"Consents: {', '.join(f'{purpose} {answer}' for purpose, answer in given.items())}."
    yield ""
    try:
        policy = at_the_gate.policy(device, settings)
        yield from policy_told.told(policy, settings)
        yield ""
        yield _tried(device, settings)
    except at_the_gate.NotReached as why:
        yield f"The gate could not be asked for the tier's policy: {why}."
        yield "Until it can, reports say only what is operational, in whole hours."
    yield ""
    yield f"Next: `{device.command} run`, or just an application that reports; then `{device.command} status`."


def _written(device: Device, endpoint: str, token: str, said: Mapping[str, Any]) -> Settings:
    """The settings as they are on the disk then; raises `BadSettings`, `Refused` and OSError."""
    # What an operator set by hand, or took away, is not found out again.
    facts = {} if _is_set_up(device) else detected()
    device.directory.make()
    more = {**said, **_authorities(said), "device": {**facts, **said.get("device", {})}}
    source = configured(device.directory, endpoint, token, more)
    try:
        settings = state.read(device.directory.settings)
    except OSError:
        raise Refused("settings.json cannot be written") from None
    if settings != source():
        raise Refused("settings.json cannot be written")
    return settings


def _authorities(said: Mapping[str, Any]) -> Mapping[str, str]:
    """The file by its whole path: an agent is started elsewhere."""
    if "ca_file" not in said:
        return {}
    file = Path(said["ca_file"]).absolute()
    if not file.is_file():
        raise Refused("--ca-file: there is no such file")
    return {"ca_file": str(file)}


def _is_set_up(device: Device) -> bool:
    try:
        device.settings()
    except (Refused, BadSettings):
        return False
    return True


def _tried(device: Device, settings: Settings) -> str:
    """Whether the gate takes a report of this device; raises `Refused` where it does not take its token."""
    waiting = sample(settings, device.queue.policy(settings.endpoint), device.clock)
    if waiting is None:
        return "The tier takes no report of this device yet."
    found = at_the_gate.check(settings, waiting.queued.report, as_sent(device, settings, waiting))
    if found.get("outcome") != "accepted":
        return f"The gate would refuse a report of this device as it is set up: {found.get('reason', 'no reason')}."
    return "The gate knows the token, and would take a report of this device."
