"""The gate's bookkeeping: closed labels, nothing lost, nothing counted twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.problems import Reason
from ingest.report import Remark
from ingest.telemetry.account import (
    ACCEPTED,
    BODY_BOUNDS,
    DURATION_BOUNDS,
    NO_TIER,
    OUTCOMES,
    RECEIVED,
    STATUS_CLASSES,
    Account,
    Buckets,
    OutcomeCount,
    RemarkCount,
)
from schemas.catalogue import Catalogue, load_catalogue
from schemas.plan import UNKNOWN_FIELD, Action, Plan

CATALOGUE = load_catalogue()


@pytest.fixture
def account() -> Account:
    """An account of the contracts that are shipped, with nothing counted yet."""
    return Account(CATALOGUE)


def plan_of(tier: str, report: str) -> Plan:
    """The plan of a tier for the newest version of a report."""
    return CATALOGUE.plans[tier, CATALOGUE.latest[report].fingerprint]


def test_outcome_names_are_the_reasons_and_accepted() -> None:
    """Every reason is an outcome, and neither the count at the door nor an accepted report shares a reason's name."""
    reasons = {reason.value for reason in Reason}
    assert set(OUTCOMES) == reasons | {ACCEPTED}
    assert not {RECEIVED, ACCEPTED} & reasons
    assert Reason.IN_DOUBT.value in OUTCOMES


def test_door_and_outcome_are_counted_apart(account: Account) -> None:
    """What is received and what becomes of it are two counts, neither of which moves the other."""
    account.received("managed", 3)
    account.outcome("managed", ACCEPTED, 2)
    account.outcome("byod", Reason.TRUNCATED.value, 1)
    assert set(account.take()) == {
        OutcomeCount("managed", RECEIVED, 3),
        OutcomeCount("managed", ACCEPTED, 2),
        OutcomeCount("byod", "truncated", 1),
    }


def test_outcome_outside_the_list_is_refused(account: Account) -> None:
    """An outcome that is not in the closed list raises and counts nothing."""
    with pytest.raises(KeyError):
        account.outcome("managed", "fine_i_guess", 1)
    assert account.take() == ()


@given(
    st.text()
    | st.none()
    | st.sampled_from(["", "Managed", "managed ", "none", "managed\n", "admin'--", "\ud800", "a" * 1000])
)
def test_weird_tier_never_becomes_a_label(tier: str | None) -> None:
    """Whatever a request names as its tier, the label is a tier of the catalogue or "none"."""
    account = Account(CATALOGUE)
    account.received(tier, 1)
    account.outcome(tier, ACCEPTED, 1)
    account.checked(tier, 1)
    account.answered(tier, status=202, seconds=0.1, body_bytes=1)
    label = tier if tier is not None and tier in CATALOGUE.tiers else NO_TIER
    assert set(account.take()) == {OutcomeCount(label, RECEIVED, 1), OutcomeCount(label, ACCEPTED, 1)}
    assert {name for name, count in account.checked_totals() if count} == {label}
    assert {name for name, _, _ in account.durations()} == {label}
    assert {name for name, _, _ in account.bodies()} == {label}


def test_checked_reports_are_no_part_of_the_ledger(account: Account) -> None:
    """Reports that were only checked appear in a count of their own and are not taken for the control topic."""
    account.checked("managed", 2)
    assert account.take() == ()
    assert dict(account.checked_totals())["managed"] == 2


def test_remarks_are_counted_by_schema_field_and_action(account: Account) -> None:
    """Remarks add up by tier, report, field path and action, with made-up names together under "unknown"."""
    plan = plan_of("managed", "route_window")
    hostname = plan.schema.fields["hostname"].id
    nested = plan.schema.fields["rows.model"].id
    remarks = [
        Remark(hostname, Action.DROP, 1),
        Remark(nested, Action.COARSEN, 8),
        Remark(UNKNOWN_FIELD, Action.DROP, 4),
    ]
    account.remarks(plan, remarks)
    account.remarks(plan, remarks[:1])
    assert set(account.remark_totals()) == {
        RemarkCount("managed", "route_window", "hostname", "drop", 2),
        RemarkCount("managed", "route_window", "rows.model", "coarsen", 8),
        RemarkCount("managed", "route_window", "unknown", "drop", 4),
    }


def test_every_field_of_every_plan_has_its_own_count(account: Account) -> None:
    """Each field id of each plan is counted under that field's own path."""
    for plan in CATALOGUE.plans.values():
        account.remarks(plan, [Remark(field.id, Action.DROP, field.id) for field in plan.schema.fields.values()])
    expected = {
        RemarkCount(plan.tier.name, plan.schema.name, path, "drop", field.id)
        for plan in CATALOGUE.plans.values()
        for path, field in plan.schema.fields.items()
    }
    assert set(account.remark_totals()) == expected


def test_reload_keeps_counts_and_adds_tiers() -> None:
    """A reloaded catalogue brings its new tiers, and the counts of a tier that is gone stay."""
    only = Catalogue(schemas=CATALOGUE.schemas, tiers={"managed": CATALOGUE.tiers["managed"]}, plans={})
    account = Account(only)
    account.received("byod", 1)
    account.received("managed", 1)
    account.adopt(Catalogue(schemas=CATALOGUE.schemas, tiers={"byod": CATALOGUE.tiers["byod"]}, plans=CATALOGUE.plans))
    account.received("byod", 1)
    account.received("managed", 1)
    account.remarks(plan_of("byod", "route_window"), [Remark(8, Action.DROP, 1)])
    received = {tier: reports for tier, outcome, reports in account.ledger() if outcome == RECEIVED}
    assert received == {"none": 1, "managed": 2, "byod": 1}


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        pytest.param(0.0, 0, id="zero is in the first"),
        pytest.param(0.001, 0, id="a bound belongs to its own bucket"),
        pytest.param(0.0010001, 1, id="just above a bound"),
        pytest.param(10.0, 12, id="the last bound"),
        pytest.param(11.0, 13, id="above all bounds"),
    ],
)
def test_buckets_include_their_upper_bound(value: float, bucket: int) -> None:
    """An observation falls into the first bucket whose bound is not below it."""
    buckets = Buckets(DURATION_BOUNDS)
    buckets.observe(value)
    assert buckets.counts.index(1) == bucket
    assert buckets.total == value


@pytest.mark.parametrize(
    ("status", "label"),
    [
        pytest.param(202, "2xx", id="accepted"),
        pytest.param(404, "4xx", id="refused"),
        pytest.param(599, "5xx", id="the highest"),
        pytest.param(0, "none", id="nobody left to answer"),
        pytest.param(1000, "none", id="no HTTP status"),
        pytest.param(-1, "none", id="negative"),
    ],
)
def test_requests_are_counted_by_status_class(account: Account, status: int, label: str) -> None:
    """A request is one duration and one body size of its tier and status class."""
    account.answered("managed", status=status, seconds=0.004, body_bytes=700)
    [(tier, status_class, durations)] = account.durations()
    [(_, _, bodies)] = account.bodies()
    assert (tier, status_class) == ("managed", label)
    assert label in STATUS_CLASSES
    assert (sum(durations.counts), durations.total) == (1, 0.004)
    assert (bodies.counts[BODY_BOUNDS.index(1024)], bodies.total) == (1, 700)


def test_take_returns_each_count_once_and_totals_stay(account: Account) -> None:
    """A second take has only what came since the first, while the totals keep everything."""
    account.received("managed", 3)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 3),)
    assert account.take() == ()
    account.received("managed", 2)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 2),)
    assert OutcomeCount("managed", RECEIVED, 5) in set(account.ledger())


def test_restore_gives_counts_back_to_the_next_take(account: Account) -> None:
    """What was restored is taken again, together with what was counted in between."""
    account.received("managed", 3)
    taken = account.take()
    account.received("managed", 2)
    account.restore(taken)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 5),)
    assert account.take() == ()


STEPS = st.lists(
    st.tuples(st.sampled_from(["count", "take", "fail"]), st.sampled_from(["managed", "byod"]), st.integers(1, 5))
)


@given(STEPS)
def test_no_count_is_lost_or_told_twice(steps: list[tuple[str, str, int]]) -> None:
    """However counting, taking and failing to append alternate, what was told adds up to what was counted."""
    account = Account(CATALOGUE)
    counted, told = 0, 0
    for step, tier, reports in steps:
        if step == "count":
            account.received(tier, reports)
            counted += reports
        elif step == "take":
            told += sum(row.reports for row in account.take())
        else:
            account.restore(account.take())
    assert told + sum(row.reports for row in account.take()) == counted
