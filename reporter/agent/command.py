"""The command line of the agent: what can be typed, and what is done then. `python -m reporter` is the same program."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from reporter.agent.refused import Refused, WrongUsage
from reporter.directory import VARIABLE, Directory
from reporter.queue.unavailable import Unavailable
from reporter.reports import PURPOSES
from reporter.state import FACTS, HARDWARE_TIERS, NETWORK_CONTEXTS, ON_TIER_CHANGE, BadSettings

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

OTLP_PORT = 4318
"""Where exporters send unless they are told otherwise; as `reporter.otel.receiver` has it."""

UNAVAILABLE = {
    "disk_full": "the disk is full",
    "locked": "another process does not let go of it",
    "unwritable": "the directory is not there, or may not be written to",
    "newer": "it was written by a newer version of this program",
    "damaged": "it was damaged, and a new one was begun; try again",
}


class Parser(argparse.ArgumentParser):
    """Takes no abbreviations, and raises `WrongUsage` where argparse would end the process."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise WrongUsage(f"{self.prog}: {message}; `{self.prog} --help` says what may be typed")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but words that mean nothing are not repeated: one of them may be a token."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [one.partition("=")[0][:40] for one in unknown if one.startswith("-")]
            wrong = _no_such_option(options[0], list(self.options())) if options else "it takes no more words"
            self.error(f"{found.command}: {wrong}")
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's, which says less of what would be right."""
        choices = list(action.choices or ())
        if choices and value not in choices:
            near = get_close_matches(str(value), choices, n=1)
            right = f"did you mean {near[0]}?" if near else f"there are {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"there is no {str(value)[:40]!r}; {right}")

    def options(self) -> Iterator[str]:
        """Every option of it and of its commands, as they are typed."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action.choices, dict):
                for inner in action.choices.values():
                    yield from inner.options()


def _no_such_option(typed: str, known: Sequence[str]) -> str:
    near = get_close_matches(typed, known, n=1)
    return f"there is no option {typed}" + (f"; did you mean {near[0]}?" if near else "")


class _NoToken(argparse.Action):
    """A token on the command line can be read by everybody on the machine, and stays in the shell's history."""

    def __call__(self, *_: Any) -> NoReturn:
        raise WrongUsage("a token is no argument, for others can read it there: use --token-file, or stdin")


def parser(command: str) -> Parser:
    """What may be typed behind `command`."""
    top = Parser(
        prog=command,
        description="What runs on a device: set it up, look at it, look after it.",
        epilog=EXAMPLES.format(command=command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    _add_init(commands.add_parser("init", help="set this device up", description=INIT))
    run = commands.add_parser("run", help="run until it is told to end", description=RUN)
    run.add_argument("--otlp", type=_port, nargs="?", const=OTLP_PORT, metavar="PORT", help="take spans too, at 4318")
    status = commands.add_parser("status", help="how reporting goes", description=STATUS)
    _add_show(commands.add_parser("show", help="the exact next bytes", description=SHOW))
    routes = commands.add_parser("routes", help="did this device use a cloud, when and why", description=ROUTES)
    routes.add_argument("--since", metavar="TIME", help="12h, 7d, 2026-11-21, 2026-11-21T09:00Z  [default: 30d]")
    routes.add_argument("--all", action="store_true", help="tasks that stayed on the device too")
    consent = commands.add_parser("consent", help="agree to a purpose, or withdraw", description=CONSENT)
    consent.add_argument("purpose", choices=PURPOSES, metavar="PURPOSE", help=", ".join(PURPOSES))
    consent.add_argument("answer", choices=("yes", "no"), metavar="yes|no", help="what the owner of the device says")
    commands.add_parser("forget", help="delete what waits, and the evidence", description=FORGET)
    commands.add_parser("flush", help="have the agent send what it holds now", description=FLUSH)
    for one in (status, routes):
        one.add_argument("--json", action="store_true", help="for machines")
    for one in commands.choices.values():
        one.add_argument("--directory", type=Path, help=f"the device's files  [default: ${VARIABLE}, or the usual]")
    return top


def main(arguments: Sequence[str] | None = None, *, command: str = "tidegate-agent") -> int:
    """Does what was typed; gives the exit code."""
    try:
        _do(parser(command).parse_args(arguments), command)
    except WrongUsage as wrong:
        return _said(str(wrong), WRONG_USAGE)
    except BrokenPipeError:
        # Whoever read this has enough; what is buffered would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Refused, BadSettings, Unavailable, OSError) as problem:
        return _said(f"Error: {_sentence(problem)}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _sentence(problem: Exception) -> str:
    """What went wrong, without what SQLite or the system said of it: that may hold a path."""
    if isinstance(problem, Unavailable):
        return f"what is kept on this device cannot be used: {UNAVAILABLE[problem.reason]}"
    if isinstance(problem, OSError):
        return f"the files of this device cannot be used ({os.strerror(problem.errno or 0)})"
    return str(problem)


def _do(typed: argparse.Namespace, command: str) -> None:
    from reporter.agent.acting import ACTIONS  # noqa: PLC0415  # --help need not wait for SQLite
    from reporter.agent.device import Device  # noqa: PLC0415  # as above

    directory = Directory.usual() if typed.directory is None else Directory(typed.directory)
    ACTIONS[typed.command](typed, Device(directory, command))


def _said(what: str, code: int) -> int:
    sys.stderr.write(f"{what}\n")
    return code


def _add_init(init: argparse.ArgumentParser) -> None:
    init.add_argument("endpoint", metavar="URL", help="the tier's endpoint, such as https://gate.example/t/managed")
    init.add_argument("--token-file", metavar="FILE", help="where the token is; - is stdin  [default: -]")
    init.add_argument("--token", action=_NoToken, nargs="?", help=argparse.SUPPRESS)
    for fact in FACTS:
        option = f"--{fact.replace('_', '-')}"
        init.add_argument(option, metavar="TEXT", help="a fact at the head of reports, where the tier keeps it")
    init.add_argument("--hardware-tier", choices=HARDWARE_TIERS, help="how large it is  [default: by its memory]")
    init.add_argument("--network-context", choices=NETWORK_CONTEXTS, help="where it is used")
    init.add_argument("--on-tier-change", choices=ON_TIER_CHANGE, help="what becomes of another tier's reports")
    init.add_argument("--ca-file", metavar="FILE", help="authorities to trust instead of the system's")
    init.add_argument("--proxy", metavar="URL", help='a proxy, or "environment" for that of HTTPS_PROXY')


def _add_show(show: argparse.ArgumentParser) -> None:
    show.add_argument("--count", type=_count, default=1, metavar="N", help="how many of those that wait")
    show.add_argument(
        "--sample", action="store_true", help="a made-up report of this device instead; nothing is queued"
    )
    show.add_argument("--check", action="store_true", help="ask the gate what it would store; it stores nothing")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--raw", action="store_true", help="the bytes of the first one and nothing else")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("it takes a number from 1 on")
    return int(text)


EXAMPLES = """examples:
  {command} init https://gate.example/t/managed < device.token
  {command} run                      take what applications hand over, and send it
  {command} status                   what waits, and what the gate said last
  {command} show --sample --check    what would leave this device, and what the gate would store
  {command} routes --since 7d        did this device use a cloud, when and why
  {command} consent location no      withdraw, and delete what rests on it

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
"""
INIT = """Write settings.json, ask the gate for the tier's policy, and say what will be taken off. The token is read
from stdin, unless a file is named. What is not said stays as it was."""
RUN = """Take what applications hand over, add it up, and send it, until SIGTERM. SIGHUP: read the settings again."""
STATUS = """What waits, the gate's last answer, the policy that is in force, consents, and what was lost and why."""
SHOW = """The reports that are sent next: their exact bytes, what they say, and what was taken off before they were
written to this device. Identifiers are shown where they will be, and are in no file but settings.json."""
ROUTES = """How many tasks left this device, hour by hour: where to, why, and whether that was agreed to and shown. From
evidence that is kept on the device for 30 days and never sent. Windows that are still open are not in it."""
CONSENT = """Write down what the owner of the device says. A withdrawn consent deletes what rests on it."""
FORGET = """Delete the reports that wait and the evidence. Settings stay."""
FLUSH = (
    """Have the agent that runs close its windows and send what may be sent, without waiting for the time to come."""
)
