"""The truth of A1 and A3, by hand."""

from typing import Any

import pytest

from load.fleet.truth_remarks import Receipts, receipts_truth, remarks_truth

NAMES = {"region": {"north"}, "model": {"small-chat"}, "model_version": {"1.0"}, "site": {"hall"}}

WHOLE_HOUR = {"window_start": 7_200_000, "window_end": 10_800_000}


def taken_off(tier: str, report: str, values: dict[str, Any]) -> dict[tuple[str, ...], int]:
    """(field, action) -> values, of one report."""
    remarks = remarks_truth([(tier, report, WHOLE_HOUR | values)], NAMES)
    return {key[1:]: counts["values"] for key, counts in remarks.by(("field", "action")).items()}


@pytest.mark.parametrize(
    ("tier", "said", "remarks"),
    [
        pytest.param("managed", {"device_id": "m-1"}, {("device_id", "pseudonymise"): 1}, id="a pseudonym"),
        pytest.param("managed", {"device_id": None}, {}, id="nothing there, nothing taken off"),
        pytest.param("managed", {"agent_version": "4.2.1"}, {}, id="a coarsening that changes nothing"),
        pytest.param("managed", {"agent_version": "4.2.1-rc"}, {("agent_version", "coarsen"): 1}, id="one that does"),
        pytest.param("managed", {"region": "west"}, {("region", "coarsen"): 1}, id="a name that is not known"),
        pytest.param(
            "managed",
            {"attributes": {"asset": "blue", "desk": "4"}},
            {("attributes", "drop"): 1, ("unknown", "drop"): 2},
            id="names made up by the agent",
        ),
        pytest.param("managed", {"attributes": {}}, {}, id="an empty map is not there"),
        pytest.param(
            "byod",
            {"site": "hall", "consent_location": False},
            {("site", "drop"): 1},
            id="without consent it is dropped",
        ),
        pytest.param("byod", {"site": "hall", "consent_location": True}, {}, id="with consent it stays"),
        pytest.param(
            "byod", {"window_start": 7_500_000}, {("window_start", "coarsen"): 1}, id="minutes become the hour"
        ),
    ],
)
def test_remarks_of_one_field(tier: str, said: dict[str, Any], remarks: dict[tuple[str, str], int]) -> None:
    """Each rule leaves its mark where it took something off, and none elsewhere."""
    assert taken_off(tier, "trace_window", said) == remarks


def test_rows_are_counted_one_by_one() -> None:
    """A contractor's rows lose what their tier drops each time, and a bucket's lower end stays unremarked."""
    rows = [
        {"tokens_in": 150, "tokens_out": 100, "model": "small-chat", "offline": 0, "policy_version": "3.2.1"},
        {"tokens_in": 100, "tokens_out": 0, "model": "private-tune", "offline": 1, "policy_version": "3.2"},
    ]
    assert taken_off("contractor", "route_window", {"rows": rows, "network_context": "home"}) == {
        ("rows.tokens_in", "coarsen"): 1,
        ("rows.model", "coarsen"): 1,
        ("rows.offline", "drop"): 2,
        ("rows.policy_version", "coarsen"): 1,
        ("network_context", "drop"): 1,
        ("consent_fallback_reports", "drop"): 1,
        ("consent_diagnostics", "drop"): 1,
        ("consent_location", "drop"): 1,
    }


def test_remarks_are_told_apart_as_a1_asks() -> None:
    """Tier, report, versions and agent stand beside the field, and reports are counted beside values."""
    report = WHOLE_HOUR | {"hostname": "host", "agent_version": "4.2.1"}
    remarks = remarks_truth([("managed", "trace_window", report)] * 3, NAMES)
    assert remarks.by(("report", "field", "action", "schema_version", "policy_version", "agent_version")) == {
        ("managed", "trace_window", "hostname", "drop", "1", "1", "4.2"): {"values": 3, "reports": 3}
    }


def test_receipts_count_each_id_once() -> None:
    """The same id again is a duplicate; under another report or tier it is another report."""
    posts = [
        ("managed", "route_window", b"1"),
        ("managed", "route_window", b"1"),
        ("managed", "trace_window", b"1"),
        ("byod", "route_window", b"1"),
        ("managed", "route_window", b"1"),
    ]
    assert receipts_truth(posts) == {"managed": Receipts(stored=2, duplicates=2), "byod": Receipts(stored=1)}
