"""What a device takes off, case by case; tests/contract/test_device_strip.py holds that it agrees with the gate."""

import json
from typing import Any

import pytest

from ingest.decode import decode
from ingest.pipeline import require_location
from ingest.problems import Rejected
from reporter.messages import encode, with_identifiers
from reporter.policy import LEAST, Policy
from reporter.reports import IDENTIFIERS, schema
from reporter.strip import Stripped, TakenOff, Unfit, Withheld, identifiers, strip, told
from schemas.catalogue import load_catalogue
from tests.reporter.policy.any_tier import compiled, shipped, tier_of
from tests.strategies import HOUR, NOW

CATALOGUE = load_catalogue()
POLICIES = shipped(CATALOGUE)
NOBODY: frozenset[str] = frozenset()
EVERY = frozenset({"fallback_reports", "diagnostics", "location"})

HEALTH = CATALOGUE.latest["health_window"]

SAID: dict[str, Any] = {
    "report_id": bytes(range(16)),
    "window_start": NOW - HOUR,
    "window_end": NOW - HOUR + 300_000,
    "region": "eu-west",
    "os": "windows",
    "os_version": "10.0 (Build 19045)",
    "hardware_model": "a line of its own",
    "hardware_tier": "small",
    "agent_version": "1.4.2-anna",
    "site": "plant-1",
    "network_context": "home",
    "battery": "over_50pc",
    "crashes": 2,
}
"""A health_window without identifiers."""

ROW: dict[str, Any] = {
    "data_class": "public",
    "task_kind": "document",
    "input_size": "large",
    "authority": "local_safe",
    "device_approved": "approved",
    "planned_route": "on_device",
    "actual_route": "on_device",
    "decision_reason": "default",
    "precision": "int4",
    "policy_version": "1.2.3",
    "model": "small-chat",
    "tasks": 7,
    "offline": 3,
    "latency": {"offset": 3, "counts": [1, 2]},
}

ROUTES: dict[str, Any] = {
    **{name: SAID[name] for name in ("report_id", "window_start", "window_end", "hardware_tier", "network_context")},
    "rows": [ROW, ROW | {"policy_version": "1.2.4"}],
    "violations": [{"rule": "D3", "tasks": 1}],
}


def made_up(*rules: dict[str, Any], **more: Any) -> Policy:
    """What a device reads of a tier that takes health_window under these rules."""
    return compiled(HEALTH, tier_of(["health_window"], list(rules), **more))[1]


def health(policy: Policy, consents: frozenset[str] = NOBODY, **more: Any) -> Stripped:
    """`SAID`, stripped."""
    return strip(SAID | more, "health_window", policy, consents)


def test_everything_is_said_by_its_blank() -> None:
    """What is queued has every field of the schema, those that nobody gave and those that were dropped as blanks."""
    stripped = health(POLICIES["byod"])
    assert set(stripped.values) == {field.name for field in schema("health_window").fields}
    assert stripped.values["hardware_model"] is None
    assert stripped.values["network_context"] == "other"
    assert stripped.values["battery"] == "unknown"
    assert stripped.values["cold_starts"] == 0
    assert stripped.values["crashes"] == 2
    assert stripped.values["attributes"] == {}


def test_what_was_taken_off_is_told_by_path_and_number() -> None:
    """The account names each field that was changed, what was done and to how many values, and no value."""
    stripped = health(POLICIES["byod"], attributes={"tango": "foxtrot"})
    assert set(stripped.taken_off) == {
        TakenOff("window_end", "coarsen", 1),
        TakenOff("os_version", "coarsen", 1),
        TakenOff("agent_version", "coarsen", 1),
        TakenOff("hardware_model", "drop", 1),
        TakenOff("site", "drop", 1),
        TakenOff("network_context", "drop", 1),
        TakenOff("battery", "drop", 1),
        TakenOff("attributes", "drop", 1),
    }
    both = strip(ROUTES, "route_window", POLICIES["contractor"], NOBODY).taken_off
    assert {TakenOff("rows.policy_version", "coarsen", 2), TakenOff("rows.offline", "drop", 2)} <= set(both)


def test_consents_are_those_that_were_given() -> None:
    """A flag of consent in the values says nothing: only the consents handed in do."""
    assert health(POLICIES["byod"], consent_location=True).values["consent_location"] is False
    stripped = health(POLICIES["byod"], frozenset({"location"}))
    assert (stripped.values["consent_location"], stripped.values["site"]) == (True, "plant-1")


@pytest.mark.parametrize(
    ("report", "consents", "purposes"),
    [
        pytest.param("route_window", NOBODY, set(), id="nothing was agreed to"),
        pytest.param("route_window", EVERY, {"location"}, id="one field rests on one of three"),
        pytest.param("health_window", frozenset({"diagnostics"}), {"diagnostics"}, id="of the one given"),
        pytest.param("health_window", EVERY, {"diagnostics", "location"}, id="of two"),
        pytest.param("fallback_window", frozenset({"fallback_reports"}), {"fallback_reports"}, id="the whole report"),
    ],
)
def test_purposes_that_something_rests_on(report: str, consents: frozenset[str], purposes: set[str]) -> None:
    """What is queued tells the consents without which it would say less."""
    values = SAID if report == "health_window" else ROUTES if report == "route_window" else ROUTES | {"rows": []}
    assert strip(values, report, POLICIES["byod"], consents).purposes == purposes


def test_purposes_of_whole_containers_and_of_what_was_not_said() -> None:
    """A container that is kept under a consent counts where there is something in it, and a null never does."""
    site = {"fields": ["site"], "action": "coarsen", "by": "known", "of": "site", "consent": "location"}
    assert health(made_up(site), EVERY).purposes == {"location"}
    assert health(made_up(site), EVERY, site=None).purposes == NOBODY
    rows = {"fields": ["violations"], "action": "keep", "consent": "diagnostics"}
    _, policy = compiled(CATALOGUE.latest["route_window"], tier_of(["route_window"], [rows]))
    assert strip(ROUTES, "route_window", policy, EVERY).purposes == {"diagnostics"}
    assert strip(ROUTES | {"violations": []}, "route_window", policy, EVERY).purposes == NOBODY


@pytest.mark.parametrize(
    ("tier", "report", "consents"),
    [
        pytest.param("byod", "fallback_window", NOBODY, id="without the consent that it needs"),
        pytest.param("contractor", "health_window", EVERY, id="not taken by the tier"),
    ],
)
def test_withheld(tier: str, report: str, consents: frozenset[str]) -> None:
    """A report that the gate would refuse as a whole is not made."""
    with pytest.raises(Withheld):
        strip(SAID, report, POLICIES[tier], consents)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        pytest.param({"crashes": "tango"}, "crashes", id="another type"),
        pytest.param({"crashes": 2**31}, "crashes", id="too great"),
        pytest.param({"battery": "tango"}, "battery", id="no symbol"),
        pytest.param({"os": None, "os_version": 10}, "os_version", id="a number for a text"),
        pytest.param({"crashes": None}, "crashes", id="null where there is none"),
        pytest.param({"memory": ["unknown"]}, "memory", id="a list for one"),
    ],
)
def test_unfit(values: dict[str, Any], path: str) -> None:
    """A value that the schema does not take is refused by its path alone, unless it is dropped anyway."""
    with pytest.raises(Unfit) as refusal:
        health(POLICIES["managed"], **values)
    assert str(refusal.value) == path
    with pytest.raises(Unfit, match=r"^hardware_tier$"):
        strip({name: SAID[name] for name in SAID if name != "hardware_tier"}, "health_window", LEAST, NOBODY)
    assert health(made_up(), **values).values["crashes"] == 0


def test_a_coarsened_number_has_to_fit_as_well() -> None:
    """The last hour that 64 bits can hold has no end, so a window in it cannot be told in hours."""
    with pytest.raises(Unfit, match=r"^window_end$"):
        health(POLICIES["byod"], window_end=2**63 - 1)


def test_a_container_without_a_survivor_is_empty() -> None:
    """Where a policy keeps nothing of a row, not even the number of rows is told."""
    routes = CATALOGUE.latest["route_window"]
    flags = {"fields": ["rows.tasks"], "action": "keep"}
    emptied = strip(ROUTES, "route_window", compiled(routes, tier_of(["route_window"], []))[1], NOBODY)
    assert emptied.values["rows"] == []
    assert TakenOff("rows", "drop", 1) in emptied.taken_off
    some = strip(ROUTES, "route_window", compiled(routes, tier_of(["route_window"], [flags]))[1], NOBODY).values["rows"]
    assert [row["tasks"] for row in some] == [7, 7]
    assert {json.dumps({**row, "tasks": 0}) for row in some} == {
        json.dumps({field.name: field.blank() for field in schema("route_window").by_path["rows"].fields})
    }


def test_whole_containers_are_completed() -> None:
    """What is in a container that is kept whole gets its defaults, so that it can be written."""
    rows = strip(ROUTES, "route_window", POLICIES["managed"], NOBODY).values["rows"]
    assert rows[0]["latency"] == {"zero_count": 0, "underflow": 0, "overflow": 0, "offset": 3, "counts": [1, 2]}
    assert rows[0]["first_token"] is None
    encode("route_window", strip(ROUTES, "route_window", POLICIES["managed"], NOBODY).values)


PREAMBLE_OF_A_POLICY_THAT_DROPS_ALL = {
    "report_id": SAID["report_id"],
    "window_start": NOW - HOUR,
    "window_end": NOW,
    "consent_fallback_reports": False,
    "consent_diagnostics": False,
    "consent_location": False,
    "region": None,
}


def test_the_preamble_is_sent_whatever_the_policy_keeps() -> None:
    """Under a policy that keeps nothing the gate still learns the report id and the hours, and nothing else."""
    values = health(made_up(), EVERY).values
    assert {name: values[name] for name in PREAMBLE_OF_A_POLICY_THAT_DROPS_ALL} == PREAMBLE_OF_A_POLICY_THAT_DROPS_ALL


def test_consents_that_decide_are_sent() -> None:
    """A consent whose flag is dropped is sent where a field or the report rests on it, and only there."""
    crashes = {"fields": ["crashes"], "action": "keep", "consent": "diagnostics"}
    policy = made_up(crashes, requires_consent={"health_window": "location"})
    values = health(policy, EVERY).values
    assert [values[f"consent_{name}"] for name in ("fallback_reports", "diagnostics", "location")] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("rules", "window"),
    [
        pytest.param([], (NOW - HOUR, NOW), id="dropped: whole hours"),
        pytest.param(
            [{"fields": ["window_start", "window_end"], "action": "keep"}],
            (SAID["window_start"], SAID["window_end"]),
            id="kept",
        ),
        pytest.param(
            [{"fields": ["window_start", "window_end"], "action": "coarsen", "by": "floor_hour"}],
            (NOW - HOUR, SAID["window_end"]),
            id="an end that the gate rounds down would be no end",
        ),
        pytest.param(
            [{"fields": ["window_start", "window_end"], "action": "coarsen", "by": "bucket", "bounds": [0]}],
            (SAID["window_start"], SAID["window_end"]),
            id="buckets are left to the gate",
        ),
    ],
)
def test_a_window_stays_a_window(rules: list[dict[str, Any]], window: tuple[int, int]) -> None:
    """The window is coarsened no further than the gate can take it."""
    values = health(made_up(*rules)).values
    assert (values["window_start"], values["window_end"]) == window


def test_a_region_that_decides_is_sent_as_it_is() -> None:
    """Where residency goes by region the gate learns the region, though the policy drops or coarsens it."""
    residency = {"eu-west": ["here"], "*": ["there"]}
    coarsen = {"fields": ["region"], "action": "coarsen", "by": "allowed", "allowed": ["us-east"]}
    for rules in ([], [coarsen]):
        tier = tier_of(["health_window"], rules, residency=residency)
        _, policy = compiled(HEALTH, tier)
        message = encode("health_window", health(policy).values)
        report = decode(message.content, {HEALTH.fingerprint: HEALTH})
        require_location(report, tier, "here")
        with pytest.raises(Rejected):
            require_location(report, tier, "there")


NAMED = dict.fromkeys(IDENTIFIERS, "tango-foxtrot")


@pytest.mark.parametrize("policy", [*POLICIES.values(), LEAST], ids=[*POLICIES, "none"])
def test_no_identifier_is_queued(policy: Policy) -> None:
    """Whatever the tier, no identifier and no attribute is in the bytes that go to the disk."""
    values = ROUTES | NAMED | {"attributes": {"tango-foxtrot": "tango-foxtrot"}}
    stripped = strip(values, "route_window", policy, EVERY)
    message = encode("route_window", stripped.values)
    assert b"foxtrot" not in message.content
    assert "foxtrot" not in repr(stripped)


@pytest.mark.parametrize(
    ("name", "carried"),
    [
        pytest.param("managed", {"device_id"}, id="made a pseudonym by the gate"),
        pytest.param("byod", set(), id="no pseudonyms"),
        pytest.param("contractor", set(), id="refused as a whole if two of them were sent"),
    ],
)
def test_identifiers_that_are_sent(name: str, carried: set[str]) -> None:
    """Only what the policy lets through is put in when a message is sent."""
    found = identifiers(NAMED, report="route_window", policy=POLICIES[name], consents=EVERY)
    assert set(found) == carried
    taken = {entry.field for entry in strip(ROUTES | NAMED, "route_window", POLICIES[name], EVERY).taken_off}
    assert taken & set(IDENTIFIERS) == set(IDENTIFIERS) - carried


def test_least_sends_no_identifier() -> None:
    """While no policy is known no identifier is sent."""
    assert identifiers(NAMED, report="route_window", policy=LEAST, consents=EVERY) == {}


def test_identifiers_under_conditions() -> None:
    """An identifier is coarsened before it is sent, needs its consent, and is left out where it cannot be written."""
    policy = made_up(
        {"fields": ["ip_address"], "action": "coarsen", "by": "address", "ipv4": 16, "ipv6": 32},
        {"fields": ["user_id"], "action": "pseudonymise", "consent": "location"},
        {"fields": ["serial", "hostname"], "action": "pseudonymise"},
        refuse_if_present=[{"field": "serial", "since": "2099-01-01", "why": "A test."}],
    )
    given = {"ip_address": "192.0.2.77", "user_id": "anna", "serial": "s", "hostname": "h\ud800", "device_id": "d"}
    found = identifiers(given, report="health_window", policy=policy, consents=NOBODY)
    assert found == {"ip_address": "192.0.0.0"}
    with_consent = identifiers(given, report="health_window", policy=policy, consents=frozenset({"location"}))
    assert with_consent == {"ip_address": "192.0.0.0", "user_id": "anna"}
    with_identifiers(encode("health_window", health(policy).values), with_consent)


def test_a_policy_that_keeps_too_much_is_not_followed() -> None:
    """A text or an identifier that a policy keeps as it is, alone or inside a container, is dropped."""
    decisions = dict(POLICIES["managed"].reports["route_window"])
    keep = decisions["hardware_tier"]
    decisions |= dict.fromkeys(("device_id", "site", "attributes", "rows"), keep)
    changed = {name: getattr(POLICIES["managed"], name) for name in Policy.__dataclass_fields__}
    policy = Policy(**changed | {"reports": {"route_window": decisions}})
    stripped = strip(ROUTES | NAMED | {"site": "s", "attributes": {"a": "b"}}, "route_window", policy, NOBODY)
    assert [stripped.values[name] for name in ("device_id", "site", "attributes", "rows")] == [None, None, {}, []]
    assert identifiers(NAMED, report="route_window", policy=policy, consents=NOBODY) == {}


def test_a_decision_that_does_not_fit_drops() -> None:
    """A coarsening of texts over a number, of numbers over a text, and a pseudonym of a flag are dropped."""
    decisions = dict(POLICIES["managed"].reports["health_window"])
    bucket = compiled(HEALTH, tier_of(["health_window"], [BUCKET]))[1].reports["health_window"]["crashes"]
    decisions |= {"os": bucket, "crashes": decisions["os_version"], "first_of_day": decisions["device_id"]}
    changed = {name: getattr(POLICIES["managed"], name) for name in Policy.__dataclass_fields__}
    values = health(Policy(**changed | {"reports": {"health_window": decisions}}), first_of_day=True).values
    assert [values[name] for name in ("os", "crashes", "first_of_day")] == [None, 0, False]


BUCKET = {"fields": ["crashes"], "action": "coarsen", "by": "bucket", "bounds": [0, 10]}


def test_rows_are_told_as_they_are_stripped() -> None:
    """The dimensions of a row are told beforehand as the stripped report will have them, only those asked about."""
    for policy in (*POLICIES.values(), LEAST):
        stripped = strip(ROUTES, "route_window", policy, NOBODY).values["rows"]
        for row, expected in zip(ROUTES["rows"], stripped, strict=True):
            names = ("data_class", "policy_version", "model", "tasks", "latency")
            asked = {name: row[name] for name in names}
            found = told(asked, "rows", report="route_window", policy=policy, consents=NOBODY)
            assert found == {name: expected[name] for name in names}
    versions = [
        told({"policy_version": text}, "rows", report="route_window", policy=POLICIES["contractor"], consents=NOBODY)
        for text in ("1.2.3", "1.2.4")
    ]
    assert versions == [{"policy_version": "1.2"}] * 2


def test_rows_of_whole_and_of_dropped_containers() -> None:
    """A container that is kept whole tells its rows as they are, and one that is dropped tells blanks."""
    rule = {"rule": "D3"}
    asked = {"report": "route_window", "consents": NOBODY}
    assert told(rule, "violations", policy=POLICIES["managed"], **asked) == rule  # type: ignore[arg-type]  # as typed above
    assert told(rule, "violations", policy=LEAST, **asked) == {"rule": "D1"}  # type: ignore[arg-type]  # as typed above
