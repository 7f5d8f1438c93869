"""Log lines: what may be printed, and that nothing else ever is, whichever way an exception takes to stderr.

The hooks are global to a process, so each way is tried in a process of its own. Every case has a positive control: the
event and the exception's type must be there, or a line that was never printed would pass for a clean one.
"""

import json
import logging
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ingest.problems import Reason
from ingest.telemetry.events import EVENTS, Event
from ingest.telemetry.logs import JsonLines, know, log

ROOT = Path(__file__).resolve().parents[3]
CANARY = "canary-7f3a91-alice@example.com"

SETUP = f"""
import asyncio, gc, logging, sys, threading, warnings
from ingest.telemetry import logs
from ingest.telemetry.events import Event
logs.install("INFO")
CANARY = {CANARY!r}

class Leaky(Exception):
    pass

def leak():
    local = CANARY
    raise Leaky(f"no such user {{local}}")
"""

Line = dict[str, Any]


def run(body: str, *flags: str) -> tuple[list[Line], str]:
    """The log lines of a process that runs `body` after installing the hooks, and all that it printed."""
    command = [sys.executable, *flags, "-c", SETUP + dedent(body)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return [json.loads(line) for line in done.stderr.splitlines()], done.stdout + done.stderr


WAYS_TO_STDERR = [
    pytest.param("leak()", "uncaught_exception", id="an exception that nobody catches"),
    pytest.param(
        """
        t = threading.Thread(target=leak, name=CANARY)
        t.start(); t.join()
        """,
        "thread_exception",
        id="a thread that dies, named by a value",
    ),
    pytest.param(
        """
        class Held:
            def __repr__(self): return CANARY
            def __del__(self): leak()
        held = Held()
        del held
        """,
        "unraisable_exception",
        id="a finalizer, whose object would be shown by its repr",
    ),
    pytest.param(
        """
        async def main():
            asyncio.get_running_loop().set_exception_handler(logs.loop_exception_handler)
            async def child(): leak()
            asyncio.get_running_loop().create_task(child(), name=CANARY)
            await asyncio.sleep(0); await asyncio.sleep(0); gc.collect()
        asyncio.run(main())
        """,
        "event_loop_error",
        id="a task whose exception nobody retrieves",
    ),
    pytest.param(
        """
        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(logs.loop_exception_handler)
            loop.call_soon(lambda value: leak(), CANARY)
            await asyncio.sleep(0); await asyncio.sleep(0)
        asyncio.run(main())
        """,
        "event_loop_error",
        id="a callback, which asyncio shows with its arguments",
    ),
    pytest.param(
        """
        async def main():
            asyncio.get_running_loop().call_soon(lambda value: leak(), CANARY)
            await asyncio.sleep(0); await asyncio.sleep(0)
        asyncio.run(main())
        """,
        "library_log",
        id="asyncio's own handler, which logs a message with reprs in it",
    ),
    pytest.param(
        """
        import uvloop
        async def main():
            asyncio.get_running_loop().call_soon(lambda value: leak(), CANARY)
            await asyncio.sleep(0); await asyncio.sleep(0)
        uvloop.run(main())
        """,
        "library_log",
        id="the same under uvloop",
    ),
    pytest.param(
        """
        try:
            leak()
        except Leaky:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application\\n")
        """,
        "library_log",
        id="uvicorn's line for an application that raised",
    ),
    pytest.param(
        """
        try:
            leak()
        except Leaky as error:
            logging.getLogger("some.library").error("bad input %s: %s", CANARY, error, exc_info=error)
        """,
        "library_log",
        id="a library that logs its arguments",
    ),
    pytest.param(
        """
        try:
            leak()
        except Leaky as error:
            logging.getLogger("some.library").critical(error, exc_info=True, stack_info=True)
        """,
        "library_log",
        id="an exception in place of the message, with the stack's source lines",
    ),
    pytest.param(
        """
        try:
            try:
                leak()
            except Leaky as error:
                raise ValueError(CANARY) from error
        except ValueError as error:
            error.add_note(CANARY)
            logs.log(Event.TASK_FAILED, error=error)
        """,
        "task_failed",
        id="a cause and a note",
    ),
    pytest.param(
        """
        try:
            leak()
        except Leaky as error:
            logs.log(Event.TASK_FAILED, error=ExceptionGroup(CANARY, [KeyError(CANARY), error]))
        """,
        "task_failed",
        id="a group and its members",
    ),
    pytest.param(
        """
        class Leaky(UserWarning): pass
        warnings.warn(CANARY, Leaky)
        """,
        "python_warning",
        id="a warning, which is text",
    ),
    pytest.param(
        """
        class Leaky:
            def __repr__(self): raise KeyError(CANARY)
            __str__ = __repr__
        logging.getLogger("some.library").error("%s Leaky", Leaky(), CANARY)
        logging.getLogger("Leaky").error("%d", CANARY)
        """,
        "library_log",
        id="arguments that cannot be formatted, which logging would print itself",
    ),
    pytest.param(
        """
        logging.getLogger("Leaky").error(CANARY)
        logging.getLogger(logs.LOGGER_NAME).error(CANARY)
        """,
        "library_log",
        id="a value as the template, on our own logger as well",
    ),
    pytest.param(
        """
        class Leaky(logging.Filter):
            def filter(self, record): return True
        logger = logging.getLogger("Leaky")
        logger.error(CANARY, extra={"value": CANARY})
        """,
        "library_log",
        id="extra attributes",
    ),
]


@pytest.mark.parametrize(("body", "event"), WAYS_TO_STDERR)
def test_exception_reaches_stderr_without_its_text(body: str, event: str) -> None:
    """Whichever way it takes, an exception is printed as its type and frames, and its text is not printed at all."""
    lines, printed = run(body)
    assert CANARY not in printed
    assert "no such user" not in printed
    assert event in {line["event"] for line in lines}
    assert "Leaky" in printed


def test_hooks_are_what_keeps_the_text_back() -> None:
    """Without the hooks the same program does print the value, so the scan would see a leak."""
    body = SETUP.replace('logs.install("INFO")', "") + "leak()"
    done = subprocess.run(
        [sys.executable, "-c", body], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert CANARY in done.stderr


def test_exception_is_printed_with_its_place_and_chain() -> None:
    """Each exception of a chain is there with its type and the file, line and function of its frames."""
    lines, _ = run(
        """
        def outer():
            try:
                leak()
            except Leaky as error:
                raise ValueError(CANARY) from error
        outer()
        """
    )
    [line] = lines
    first, second = line["exceptions"]
    assert (line["event"], line["level"]) == ("uncaught_exception", "CRITICAL")
    assert (first["type"], second["type"]) == ("ValueError", "__main__.Leaky")
    assert first["frames"][-1].endswith(" outer")
    assert second["frames"][-1].endswith(" leak")


def test_suppressed_context_is_not_shown() -> None:
    """`raise ... from None` hides what came before here as it does everywhere."""
    lines, _ = run("try:\n    leak()\nexcept Leaky:\n    raise ValueError from None")
    assert [one["type"] for one in lines[0]["exceptions"]] == ["ValueError"]


def test_deep_recursion_makes_a_short_line() -> None:
    """An exception a thousand frames deep is printed with the innermost ones only."""
    lines, _ = run("def again(n):\n    again(n + 1)\nagain(0)")
    [one] = lines[0]["exceptions"]
    assert one["type"] == "RecursionError"
    assert len(one["frames"]) == 20


def test_handlers_that_others_made_are_taken_off() -> None:
    """A library that had brought its own handler before the gate started prints through ours."""
    body = SETUP.replace(
        'logs.install("INFO")',
        dedent("""
            own = logging.getLogger("some.library")
            own.addHandler(logging.StreamHandler()); own.propagate = False
            logging.basicConfig()
            logs.install("INFO")
            own.error("%s", "canary-own-handler")
        """),
    )
    done = subprocess.run(
        [sys.executable, "-c", body], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    [line] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["event"], line["logger"], line["message"]) == ("library_log", "some.library", "withheld")


def test_line_that_cannot_be_written_is_replaced() -> None:
    """When formatting itself fails, a constant line says so and the record's content is not printed."""
    lines, printed = run(
        """
        logs.JsonLines.format = lambda self, record: leak()
        logging.getLogger("some.library").error(CANARY)
        """
    )
    assert CANARY not in printed
    assert [line["event"] for line in lines] == ["log_line_failed"]


def test_access_log_is_off() -> None:
    """The access log of uvicorn, whose lines hold addresses, prints nothing even at a level that passes."""
    lines, _ = run(
        """
        logging.getLogger("uvicorn.access").critical('%s - "%s %s HTTP/%s" %d', "192.0.2.7", "POST", "/", "1.1", 202)
        logging.getLogger("uvicorn.error").critical("Exceeded concurrency limit.")
        """
    )
    assert [line["logger"] for line in lines] == ["uvicorn.error"]


@pytest.mark.parametrize(
    ("level", "printed"),
    [
        pytest.param("DEBUG", {"gate_ready", "python_warning", "library_log"}, id="the lowest"),
        pytest.param("INFO", {"gate_ready", "python_warning", "library_log"}, id="the usual"),
        pytest.param("ERROR", {"library_log"}, id="only errors of ours"),
    ],
)
def test_level_is_for_our_events_and_libraries_begin_at_warning(level: str, printed: set[str]) -> None:
    """The level decides about our own events; of libraries, what is below a warning is never printed."""
    lines, _ = run(
        f"""
        logs.install({level!r})
        logs.log(Event.GATE_READY, tiers=3)
        logs.log(Event.PYTHON_WARNING, category="UserWarning")
        logging.getLogger("some.library").info("info")
        logging.getLogger("some.library").warning("warning")
        """
    )
    assert {line["event"] for line in lines} == printed


def formatted(event: Event, **fields: object) -> Line:
    """The line of one event, as an object."""
    record = logging.LogRecord("tidegate", EVENTS[event].level, __file__, 1, event, None, None)
    record.__dict__.update(fields=fields, error=None)
    line = json.loads(JsonLines().format(record))
    assert isinstance(line, dict)
    return line


def test_line_says_when_how_bad_and_what() -> None:
    """A line begins with the time in UTC, the level and the event, then has the event's own fields."""
    line = formatted(Event.GATE_READY, tiers=3, reports=9, plans=22)
    assert list(line) == ["ts", "level", "event", "tiers", "reports", "plans"]
    assert line["ts"].endswith("+00:00")
    assert (line["level"], line["event"], line["plans"]) == ("INFO", "gate_ready", 22)


@pytest.mark.parametrize(
    ("event", "field", "value", "shown"),
    [
        pytest.param(Event.REPORTS_REFUSED, "reports", 21, 21, id="a number"),
        pytest.param(Event.REPORTS_REFUSED, "reports", CANARY, "other", id="text where a number belongs"),
        pytest.param(Event.REPORTS_REFUSED, "reports", [CANARY], "other", id="a list where a number belongs"),
        pytest.param(Event.REPORTS_REFUSED, "reason", Reason.STORAGE_FULL, "storage_full", id="a member of an enum"),
        pytest.param(Event.REPORTS_REFUSED, "reason", CANARY, "other", id="a name that nobody declared"),
        pytest.param(Event.REPORTS_REFUSED, "reason", {CANARY: 1}, "other", id="what cannot even be looked up"),
        pytest.param(Event.REPORTS_REFUSED, "tier", "tier-of-this-test", "tier-of-this-test", id="a declared name"),
        pytest.param(Event.POLICY_REFUSED, "file", "byod.toml", "byod.toml", id="what the operator wrote"),
        pytest.param(Event.POLICY_REFUSED, "file", ValueError(CANARY), "other", id="an object in its place"),
    ],
)
def test_value_of_the_wrong_kind_is_not_printed(event: Event, field: str, value: object, shown: object) -> None:
    """A value that its field's kind does not admit reads "other"."""
    know(["tier-of-this-test"])
    assert formatted(event, **{field: value})[field] == shown


def test_undeclared_field_is_refused() -> None:
    """Logging a field that the event does not declare raises, and names the field and the file to declare it in."""
    with pytest.raises(TypeError, match=r"GATE_STOPPED has no field user; declare it in ingest/telemetry/events\.py"):
        log(Event.GATE_STOPPED, user=1)
