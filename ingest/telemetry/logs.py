"""Log lines: JSON on stderr, one object a line, with nothing in them that a device sent.

Rules held here:

* our own events are those of `ingest.telemetry.events`; a field that is not declared there raises TypeError;
* of what other libraries log only the logger's name, level and place are printed, and the message only if it is one of
  a few constants: asyncio formats reprs of objects into its messages, and a warning is text. `record.args` is never
  looked at;
* of an exception only types and stack frames (file, line, function) are printed: no message, no source line, no locals;
* every way in which Python prints a traceback by itself is replaced by this one (`install`).

uvicorn must be started with `log_config=None` and `log_level=None`, or it puts handlers of its own beside this one.
"""

import asyncio
import json
import logging
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO

from ingest.telemetry.events import CONSTANT_MESSAGES, EVENTS, Event, Kind

LOGGER_NAME = "tidegate"

MAX_FRAMES = 20
"""The innermost ones; a RecursionError has a thousand frames, and they say the same."""

MAX_EXCEPTIONS = 8
"""An exception, what it came from, and the members of a group, all together."""

WITHHELD = "withheld"
"""Printed for a library's message that is not a known constant."""

_names: set[str] = {*CONSTANT_MESSAGES, WITHHELD}


def know(names: Iterable[str]) -> None:
    """Declare names that a field of kind NAME may hold: tiers, reports, schema fields; nothing out of a request."""
    _names.update(names)


def log(event: Event, *, error: BaseException | None = None, **fields: object) -> None:
    """Log `event`, and the types and frames of `error`; a field that is not declared for it raises TypeError."""
    declared = EVENTS[event]
    if undeclared := fields.keys() - declared.fields.keys():
        raise TypeError(
            f"{event.name} has no field {', '.join(sorted(undeclared))}; declare it in ingest/telemetry/events.py"
        )
    logging.getLogger(LOGGER_NAME).log(declared.level, event, extra={"fields": fields, "error": error})


def install(level: int | str) -> None:
    """Make stderr hold log lines of this form and nothing else; our events from `level` on, others from WARNING."""
    handler = _StderrHandler()
    handler.setFormatter(JsonLines())
    logging.lastResort = None
    # Its fallback prints the arguments of a record that cannot be formatted.
    logging.raiseExceptions = False
    for name in logging.root.manager.loggerDict:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(level)
    # uvicorn asks the level of this very logger, and formats a line with the peer's address where none is set.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
    _install_hooks()


def _install_hooks() -> None:
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_thread_exception
    sys.unraisablehook = _on_unraisable
    warnings.showwarning = _on_warning


def loop_exception_handler(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """For `loop.set_exception_handler`: asyncio's own prints reprs of futures, callbacks and transports."""
    del loop
    log(Event.EVENT_LOOP_ERROR, error=context.get("exception"), message=_constant(context.get("message")))


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    del kind, trace
    log(Event.UNCAUGHT_EXCEPTION, error=error)


def _on_thread_exception(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_type is not SystemExit:
        log(Event.THREAD_EXCEPTION, error=hook.exc_value)


def _on_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    log(Event.UNRAISABLE_EXCEPTION, error=unraisable.exc_value)


def _on_warning(  # the signature is that of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del message, file, line
    log(Event.PYTHON_WARNING, category=_type_name(category), file=_short(filename), line=lineno)


class JsonLines(logging.Formatter):
    """One JSON object a line: ts (UTC), level, event, the event's fields, and `exceptions` where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields, error = _parts(record)
        declared = EVENTS[event].fields
        document: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": event.value,
            **{name: _printable(declared[name], value) for name, value in fields.items()},
        }
        if error is not None:
            document["exceptions"] = [_described(one) for one in _chain(error)]
        return json.dumps(document, allow_nan=False)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """A line that cannot be written is replaced by a constant one; the record's content goes nowhere."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name is logging's
        del record
        try:
            self.stream.write(json.dumps({"level": "ERROR", "event": Event.LOG_LINE_FAILED.value}) + self.terminator)
        except (OSError, ValueError):
            return


def _parts(record: logging.LogRecord) -> tuple[Event, Mapping[str, object], BaseException | None]:
    if isinstance(record.msg, Event):
        return record.msg, record.__dict__["fields"], record.__dict__["error"]
    fields = {
        "logger": record.name,
        "message": _constant(record.msg),
        "file": _short(record.pathname),
        "line": record.lineno,
    }
    return Event.LIBRARY_LOG, fields, record.exc_info[1] if record.exc_info else None


def _constant(message: object) -> str:
    return message if isinstance(message, str) and message in CONSTANT_MESSAGES else WITHHELD


def _printable(kind: Kind, value: object) -> object:
    if kind is Kind.NUMBER:
        return value if isinstance(value, int | float) else "other"
    if kind is Kind.NAME and isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if isinstance(value, str) and (kind is not Kind.NAME or value in _names):
        return value
    return "other"


def _described(error: BaseException) -> dict[str, object]:
    frames = deque(traceback.walk_tb(error.__traceback__), maxlen=MAX_FRAMES)
    places = [f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}" for frame, line in frames]
    return {"type": _type_name(type(error)), "frames": places}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what caused it, and the members of groups, each once."""
    waiting, seen = deque([error]), set[int]()
    while waiting and len(seen) < MAX_EXCEPTIONS:
        one = waiting.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        origin = one.__cause__ if one.__suppress_context__ else one.__context__
        if origin is not None:
            waiting.append(origin)


def _type_name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _short(filename: str) -> str:
    """The file and its folder: enough to find it, and silent about where this machine keeps it."""
    return "/".join(PurePath(filename).parts[-2:])
