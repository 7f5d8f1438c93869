"""The closed list of events, and that the code keeps to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from ingest.telemetry.events import EVENTS, Event, Kind

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("schemas", "ingest", "aggregators", "tidegate", "load")


def test_every_event_is_declared_and_nothing_else() -> None:
    """The list of events and the table of what they may carry have the same members."""
    assert set(EVENTS) == set(Event)


def calls(tree: ast.Module) -> Iterator[tuple[int, Event, set[str]]]:
    """Line, event and field names of every `log(Event.X, ...)`; a call that hides them fails the test."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        match node.args[0]:
            case ast.Attribute(value=ast.Name(id="Event"), attr=name):
                names = {keyword.arg for keyword in node.keywords}
                assert None not in names, f"line {node.lineno}: fields of an event are written out, not passed as **"
                yield node.lineno, Event[name], {field for field in names if field} - {"error"}


def test_every_call_in_the_code_keeps_to_the_declared_fields() -> None:
    """No call in any package logs a field that its event does not declare."""
    found = [
        (file, line, event, fields)
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for line, event, fields in calls(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found, "the scan sees no call at all"
    assert [call for call in found if call[3] - EVENTS[call[2]].fields.keys()] == []


def test_no_field_of_an_event_takes_free_text_of_a_request() -> None:
    """Fields that take the operator's text belong to the refusal of a policy and to nothing that serves requests."""
    with_text = {event for event, declared in EVENTS.items() if Kind.OPERATOR in declared.fields.values()}
    assert with_text == {Event.POLICY_REFUSED}
