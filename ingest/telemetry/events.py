"""Every event that the gate logs, what may accompany each, and the few messages of libraries that may be printed.

Rules held here: an event has a name, a level and declared fields; the kind of a field says where its value may come
from, and no kind admits something out of a request. `ingest.telemetry.logs` refuses an undeclared field and prints a
value of the wrong kind as "other".

Adding an event: add it to `Event` and `EVENTS`; `tests/ingest/telemetry/test_events.py` checks every call in the code.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What may be the value of a field; anything else is printed as "other"."""

    NUMBER = "number"
    NAME = "name"
    """A member of an enumeration, or a string that `ingest.telemetry.logs.know` was told."""
    CODE = "code"
    """A name that stands in source code: of a file, a logger, a class."""
    OPERATOR = "operator"
    """Text that the operator wrote: a file's name, a finding about a policy. Never anything out of a request."""


class Event(Enum):
    """The closed list of what the gate logs."""

    GATE_READY = "gate_ready"
    GATE_STOPPING = "gate_stopping"
    GATE_STOPPED = "gate_stopped"
    STOP_GIVEN_UP = "stop_given_up"
    READINESS_CHANGED = "readiness_changed"
    POLICY_RELOADED = "policy_reloaded"
    POLICY_WITHDRAWN = "policy_withdrawn"
    POLICY_REFUSED = "policy_refused"
    MANIFEST_IN_FORCE = "manifest_in_force"
    MANIFEST_UNREADABLE = "manifest_unreadable"
    TOKENS_UNREADABLE = "tokens_unreadable"
    REPORTS_REFUSED = "reports_refused"
    OUTCOMES_NOT_STORED = "outcomes_not_stored"
    OUTCOMES_STORED_AGAIN = "outcomes_stored_again"
    PRODUCER_REPLACED = "producer_replaced"
    REQUEST_FAILED = "request_failed"
    ANSWERS_READY = "answers_ready"
    ANSWERS_STOPPED = "answers_stopped"
    FOLLOWER_STATE = "follower_state"
    ROLLUPS_MADE_ANEW = "rollups_made_anew"
    PUBLISHED = "published"
    PUBLICATION_FAILED = "publication_failed"
    SEALED = "sealed"
    SEAL_FAILED = "seal_failed"
    TASK_FAILED = "task_failed"
    UNCAUGHT_EXCEPTION = "uncaught_exception"
    THREAD_EXCEPTION = "thread_exception"
    UNRAISABLE_EXCEPTION = "unraisable_exception"
    EVENT_LOOP_ERROR = "event_loop_error"
    PYTHON_WARNING = "python_warning"
    LIBRARY_LOG = "library_log"
    LOG_LINE_FAILED = "log_line_failed"
    FAILPOINT_ARMED = "failpoint_armed"


@dataclass(frozen=True, slots=True)
class Declared:
    """How an event is logged: its level and what may accompany it."""

    level: int
    fields: Mapping[str, Kind] = field(default_factory=dict)


PLACE = {"file": Kind.OPERATOR, "line": Kind.NUMBER}
SOURCE = {"file": Kind.CODE, "line": Kind.NUMBER}

EVENTS: dict[Event, Declared] = {
    Event.GATE_READY: Declared(logging.INFO, {"tiers": Kind.NUMBER, "reports": Kind.NUMBER, "plans": Kind.NUMBER}),
    Event.GATE_STOPPING: Declared(logging.INFO, {"requests": Kind.NUMBER}),
    Event.GATE_STOPPED: Declared(logging.INFO),
    Event.STOP_GIVEN_UP: Declared(logging.ERROR),
    Event.READINESS_CHANGED: Declared(logging.WARNING, {"ready": Kind.NUMBER}),
    Event.POLICY_RELOADED: Declared(logging.INFO, {"tier": Kind.NAME, "version": Kind.NUMBER}),
    Event.POLICY_WITHDRAWN: Declared(logging.WARNING, {"tier": Kind.NAME}),
    Event.POLICY_REFUSED: Declared(logging.ERROR, PLACE | {"problem": Kind.OPERATOR, "fix": Kind.OPERATOR}),
    Event.MANIFEST_IN_FORCE: Declared(logging.INFO, {"manifest": Kind.NUMBER, "names": Kind.NUMBER}),
    Event.MANIFEST_UNREADABLE: Declared(logging.ERROR),
    Event.TOKENS_UNREADABLE: Declared(logging.ERROR, {"seconds": Kind.NUMBER}),
    Event.REPORTS_REFUSED: Declared(logging.ERROR, {"reason": Kind.NAME, "tier": Kind.NAME, "reports": Kind.NUMBER}),
    Event.OUTCOMES_NOT_STORED: Declared(logging.WARNING, {"sequence": Kind.NUMBER}),
    Event.OUTCOMES_STORED_AGAIN: Declared(logging.INFO, {"sequence": Kind.NUMBER, "seconds": Kind.NUMBER}),
    Event.PRODUCER_REPLACED: Declared(logging.WARNING),
    Event.REQUEST_FAILED: Declared(logging.ERROR, {"tier": Kind.NAME, "report": Kind.NAME, "reason": Kind.NAME}),
    Event.ANSWERS_READY: Declared(logging.INFO, {"measures": Kind.NUMBER}),
    Event.ANSWERS_STOPPED: Declared(logging.INFO),
    Event.FOLLOWER_STATE: Declared(logging.WARNING, {"state": Kind.NAME, "why": Kind.NAME, "lag": Kind.NUMBER}),
    Event.ROLLUPS_MADE_ANEW: Declared(logging.WARNING, {"seals": Kind.NUMBER}),
    Event.PUBLISHED: Declared(
        logging.INFO,
        {"number": Kind.NUMBER, "cells": Kind.NUMBER, "withheld": Kind.NUMBER, "waiting": Kind.NUMBER},
    ),
    Event.PUBLICATION_FAILED: Declared(logging.ERROR),
    Event.SEALED: Declared(logging.INFO, {"number": Kind.NUMBER, "rows": Kind.NUMBER}),
    Event.SEAL_FAILED: Declared(logging.ERROR),
    Event.TASK_FAILED: Declared(logging.ERROR),
    Event.UNCAUGHT_EXCEPTION: Declared(logging.CRITICAL),
    Event.THREAD_EXCEPTION: Declared(logging.ERROR),
    Event.UNRAISABLE_EXCEPTION: Declared(logging.ERROR),
    Event.EVENT_LOOP_ERROR: Declared(logging.ERROR, {"message": Kind.NAME}),
    Event.PYTHON_WARNING: Declared(logging.WARNING, SOURCE | {"category": Kind.CODE}),
    Event.LIBRARY_LOG: Declared(logging.WARNING, SOURCE | {"logger": Kind.CODE, "message": Kind.NAME}),
    Event.LOG_LINE_FAILED: Declared(logging.ERROR),
    Event.FAILPOINT_ARMED: Declared(
        logging.WARNING, {"failpoint": Kind.CODE, "action": Kind.CODE, "time": Kind.NUMBER}
    ),
}
"""Every event also takes an exception, beside its fields."""

CONSTANT_MESSAGES = frozenset(
    {
        # uvicorn 0.54
        "ASGI callable returned without completing response.",
        "ASGI callable returned without starting response.",
        "ASGI callable should return None, but returned '%s'.",
        "Application shutdown failed. Exiting.",
        "Application startup failed. Exiting.",
        "Cancel %s running task(s), timeout graceful shutdown exceeded",
        "Exceeded concurrency limit.",
        "Exception in 'lifespan' protocol\n",
        "Exception in ASGI application\n",
        "Invalid HTTP request received.",
        "Unsupported upgrade request.",
        # asyncio 3.11 to 3.13; uvloop says the same
        "Fatal error on transport",
        "Future exception was never retrieved",
        "Task exception was never retrieved",
        "Task was destroyed but it is pending!",
        "Unhandled exception in event loop",
        "socket.accept() out of system resource",
        "socket.send() raised exception.",
        # OpenTelemetry 1.45
        "Exception while exporting %s.",
        "Exception while exporting metrics",
        "Failed to export %s batch code: %s, reason: %s",
        "Failed to export %s batch due to timeout, max retries or shutdown.",
        "Queue full, dropping %s.",
        "Transient error %s encountered while exporting %s batch, retrying in %.2fs.",
    }
)
"""Messages of libraries that are constants of their source; printed as they stand, with their %s unfilled."""
