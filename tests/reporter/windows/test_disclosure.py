"""The disclosure table as a device applies it, held against the fleet's own account of it."""

from itertools import product
from typing import Any

import pytest

from load.fleet.disclosure import violations_of
from reporter.windows.disclosure import broken_rules
from reporter.windows.task import Facts, Task, facts_of, settled
from tests.reporter.windows.hand_made import ROUTES, task

TOLD = frozenset({"residency", "source_references", "quality_difference", "offline_model_version"})
SHOWN = frozenset({"fallback_shown", "telemetry_path"})
KINDS = [
    ("restricted", "document", "small"),
    ("confidential", "retrieval", "small"),
    ("public", "document", "large"),
    ("internal", "field", "small"),
    ("restricted", "interactive", "small"),
]
"""Each of D1 to D5 speaks of one of them at least."""


def facts(**said: Any) -> Facts:
    """What a window looks at of a task."""
    return settled(Facts._make(facts_of(task(**said))))


@pytest.mark.parametrize(("data_class", "task_kind", "input_size"), KINDS)
def test_the_table_is_the_fleets(data_class: str, task_kind: str, input_size: str) -> None:
    """Over all routes, consents and disclosures, the same rules are broken as by the account that the fleet keeps."""
    broken: set[str] = set()
    for planned, actual, authority, approved, consent, disclosed, offline, degraded, disclosures in product(
        ROUTES, ROUTES, ("local_safe", "needs_central"), ("approved", "not_approved"),
        ("not_required", "granted", "approved_by_admin", "denied", "not_asked"), ("disclosed", "undisclosed"),
        (False, True), (False, True), (frozenset[str](), TOLD, SHOWN, TOLD | SHOWN),
    ):  # fmt: skip
        made: Any = Facts._make(
            (data_class, task_kind, input_size, authority, approved, planned, actual, "default", "none", None, None,
             None, None, "none", consent, disclosed, offline, degraded, disclosures)
        )  # fmt: skip
        assert set(broken_rules(made)) == violations_of(made)
        broken.update(broken_rules(made))
    assert len(broken) >= 4


SILENCES: list[Any] = [
    pytest.param({}, ("not_required", "disclosed"), id="no fallback"),
    pytest.param({"actual_route": "queued"}, ("not_required", "disclosed"), id="failed closed"),
    pytest.param({"actual_route": "managed_cloud"}, ("not_asked", "undisclosed"), id="left the device, nothing said"),
    pytest.param(
        {"actual_route": "edge", "disclosures": frozenset({"fallback_shown"})}, ("not_asked", "disclosed"), id="shown"
    ),
    pytest.param({"actual_route": "edge", "consent": "granted"}, ("granted", "undisclosed"), id="consent said"),
    pytest.param({"actual_route": "edge", "disclosed": "disclosed"}, ("not_asked", "disclosed"), id="disclosure said"),
]


@pytest.mark.parametrize(("said", "expected"), SILENCES)
def test_what_is_not_said_is_not_claimed(said: dict[str, Any], expected: tuple[str, str]) -> None:
    """Where a task left its zone, consent and disclosure that nobody spoke of are reported as missing."""
    made = facts(**said)
    assert (made.consent, made.disclosed) == expected


UNSAID: list[Any] = [
    pytest.param({"planned_route": None, "actual_route": "edge"}, ("edge", "edge"), id="the plan is what happened"),
    pytest.param({"planned_route": "edge", "actual_route": None}, ("edge", "edge"), id="the plan was kept"),
    pytest.param({"planned_route": None, "actual_route": None}, (None, None), id="nothing is known"),
]


@pytest.mark.parametrize(("said", "expected"), UNSAID)
def test_a_route_stands_for_the_other(said: dict[str, Any], expected: tuple[str | None, str | None]) -> None:
    """A task of which one route is said is no fallback."""
    made = facts(**said)
    assert (made.planned_route, made.actual_route) == expected


@pytest.mark.parametrize(("model", "expected"), [(None, "none"), ("small-chat", "unknown")])
def test_precision_is_unknown_only_of_a_model(model: str | None, expected: str) -> None:
    """A precision that nobody says is none where no model ran."""
    assert facts(model=model, precision=None).precision == expected


def test_a_new_task_says_nothing() -> None:
    """A task of which nothing is said breaks no rule and counts one attempt."""
    made = Task()
    assert made.attempts == 1
    assert broken_rules(settled(Facts._make(facts_of(made)))) == ()
