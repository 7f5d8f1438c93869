"""A span to a task: one request that a model answered, or was to answer.

Pure: the conventions and the operator's table say what means what, and nothing is looked up anywhere. Where a span says
nothing the task leaves it unsaid, and `reporter.windows.task.settled` puts that to the side of who is to be protected.
"""

from collections.abc import Mapping
from typing import Any

from reporter.otel.conventions import Conventions, conventions
from reporter.otel.spans import Span
from reporter.otel.table import Table
from reporter.windows.task import Task

NS_PER_MS = 1_000_000

Said = Mapping[str, Any]


def task_of(span: Span, table: Table) -> Task | None:
    """The task that a span stands for; None where it stands for none."""
    known = conventions()
    said = known.said({**table.unsaid, **span.attributes} if table.unsaid else span.attributes)
    if not said.get("is_task", said.get("operation") in known.operations):
        return None
    task = Task()
    task.succeeded = not (span.failed or "error" in said or known.abnormal_finish in said.get("finish", ()))
    _times(task, span)
    _as_said(task, said, known)
    if task.model is None:
        _model(task, said, table)
    if task.actual_route is None:
        task.actual_route = table.routes.route(said.get("provider"), said.get("host"), said.get("port"))
    return task


def _times(task: Task, span: Span) -> None:
    """A clock that was set while the span ran leaves no time that could be believed."""
    if 0 < span.start_ns <= span.end_ns:
        task.latency_ms = (span.end_ns - span.start_ns) / NS_PER_MS
        if span.first_event_ns is not None and span.start_ns <= span.first_event_ns <= span.end_ns:
            task.first_token_ms = (span.first_event_ns - span.start_ns) / NS_PER_MS


def _model(task: Task, said: Said, table: Table) -> None:
    """The model as the operator calls it, or as it was asked for; the answer's name often has the version behind."""
    asked, answering = said.get("asked_model", ""), said.get("answering_model", "")
    named: Said | None = table.models.get(answering) or table.models.get(asked)
    if named is None:
        named = {"model": asked or answering or None, "model_version": _version(asked, answering)}
    for name, value in named.items():
        if getattr(task, name) is None:
            setattr(task, name, value)


def _version(asked: str, answering: str) -> str | None:
    """`2026-08-06`, where `model` was asked and `model-2026-08-06` has answered."""
    behind = answering.removeprefix(asked)
    return behind[1:] or None if asked and behind != answering and behind[:1] in ("-", ":", "@") else None


def _as_said(task: Task, said: Said, known: Conventions) -> None:
    """Whatever has a field of its own, and what follows from it."""
    for name, value in said.items():
        if name in known.fields:
            setattr(task, name, value)
    if "contract_valid" in said:
        task.contract_checked = True
    if task.input_size is None and "tokens_in" in said:
        task.input_size = known.input_size(task.tokens_in)
