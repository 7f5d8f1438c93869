"""What each command does with what was typed. Prints as it goes; what raises is told by `reporter.agent.command`."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reporter.agent import owner, routes, showing, status
from reporter.agent.asking import FLUSH, ask
from reporter.agent.device import Device
from reporter.agent.refused import Refused, WrongUsage
from reporter.agent.running import FLUSH_SECONDS, Running
from reporter.agent.setting_up import set_up, token_from
from reporter.state import FACTS

OF_DEVICE = (*FACTS, "hardware_tier", "network_context")
OF_SETTINGS = ("on_tier_change", "ca_file", "proxy")

PATIENCE_SECONDS = 5.0


def _init(typed: Namespace, device: Device) -> None:
    facts = _said(typed, OF_DEVICE)
    _print(set_up(device, typed.endpoint, token_from(typed.token_file), {**_said(typed, OF_SETTINGS), "device": facts}))


def _run(typed: Namespace, device: Device) -> None:
    Running(device, otlp_port=typed.otlp).run()


def _status(typed: Namespace, device: Device) -> None:
    found = status.status(device)
    _print([json.dumps(found, indent=2)] if typed.json else status.told(found))


def _show(typed: Namespace, device: Device) -> None:
    if typed.raw and typed.check:
        raise WrongUsage("--raw gives the bytes and nothing else: leave --check away")
    settings = device.settings()
    made_up = typed.sample
    waiting = showing.made_up(device, settings) if made_up else showing.next_ones(device, settings, typed.count)
    if typed.raw:
        sys.stdout.buffer.write(showing.as_sent(device, settings, waiting[0]))
    elif typed.json:
        documents = [showing.document(device, settings, one) for one in waiting]
        if typed.check:
            documents = [
                {**told, "checked": showing.check(device, settings, one)}
                for told, one in zip(documents, waiting, strict=True)
            ]
        _print([json.dumps(documents, indent=2)])
    else:
        for number, one in enumerate(waiting):
            _print([""] if number else [])
            _print(showing.shown(device, settings, one))
            if typed.check:
                _print(["", *showing.checked(showing.check(device, settings, one))])


def _routes(typed: Namespace, device: Device) -> None:
    since = routes.since_ms(typed.since, device.clock.now_ms())
    device.settings()
    asked = routes.Asked(device, since, everywhere=typed.all)
    _print([routes.as_json(asked)] if typed.json else routes.told(asked))


def _consent(typed: Namespace, device: Device) -> None:
    _print(owner.consent(device, typed.purpose, given=typed.answer == "yes"))


def _forget(_: Namespace, device: Device) -> None:
    device.settings()
    _print(owner.forget(device))


def _flush(_: Namespace, device: Device) -> None:
    device.settings()
    answer = ask(device.directory, FLUSH, seconds=FLUSH_SECONDS + PATIENCE_SECONDS)
    if answer is None:
        raise Refused(f"no agent runs on this device, or it does not answer; `{device.command} run` runs one")
    if not answer["went_out"]:
        raise Refused(f"not everything could be sent; `{device.command} status` says why")
    _print(["Everything that may be sent was sent."])


def _said(typed: Namespace, names: Iterable[str]) -> dict[str, str]:
    return {name: said for name in names if (said := getattr(typed, name)) is not None}


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


ACTIONS: Mapping[str, Callable[[Namespace, Device], Any]] = {
    "init": _init,
    "run": _run,
    "status": _status,
    "show": _show,
    "routes": _routes,
    "consent": _consent,
    "forget": _forget,
    "flush": _flush,
}
