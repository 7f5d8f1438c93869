"""A device that knows a real gate by its HTTP alone: it reads the policy, strips by it, posts; nothing is taken off."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from load.reports import make_report
from reporter.messages import encode, with_identifiers
from reporter.policy import LEAST, Policy
from reporter.reports import IDENTIFIERS, PREAMBLE
from reporter.strip import identifiers, strip
from schemas.avro_types import Array, Map
from schemas.catalogue import TIERS_DIRECTORY
from tests.running_gate import Answer, RunningGate, eventually, running_gate

CONSENTS = frozenset({"fallback_reports", "diagnostics"})
PLANTED = "tango-foxtrot"
TIERS = ("managed", "byod", "contractor")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate with the policies that ship."""
    with running_gate(tmp_path_factory.mktemp("gate"), tiers=TIERS_DIRECTORY) as running:
        eventually(lambda: running.get("/readyz").status == 200, "the gate is ready")
        yield running


def policy_of(gate: RunningGate, tier: str) -> Policy:
    """The policy of a tier, as a device fetches it."""
    answer = gate.get(f"/t/{tier}/v1/policy")
    return Policy.from_document(answer.raw, etag=answer.headers["etag"])


def values_of(gate: RunningGate, report: str) -> dict[str, Any]:
    """A report of the hour before last, with an identifier wherever there is a place for one."""
    now = int(time.time() * 1000) - 3_600_000
    values = make_report(gate.catalogue.latest[report], Random(report), now=now)
    return values | dict.fromkeys(IDENTIFIERS, PLANTED) | {"attributes": {PLANTED: PLANTED}}


def post(gate: RunningGate, tier: str, report: str, *, policy: Policy) -> Answer:
    """A report of a device under `policy`, stripped, queued and sent."""
    stripped = strip(values_of(gate, report), report, policy, CONSENTS)
    message = encode(report, stripped.values)
    assert PLANTED.encode() not in message.content
    named = dict.fromkeys(IDENTIFIERS, PLANTED)
    carried = identifiers(named, report=report, policy=policy, consents=CONSENTS)
    return gate.post(tier, report, with_identifiers(message, carried))


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_is_left_to_take_off(gate: RunningGate, tier: str) -> None:
    """Every report that the policy allows is taken, and what the gate still names the device could not have changed."""
    policy = policy_of(gate, tier)
    for report in filter(lambda name: policy.allows(name, CONSENTS), gate.catalogue.latest):
        answer = post(gate, tier, report, policy=policy)
        assert (answer.status, answer.document["accepted"], answer.document["unknown_names"]) == (202, 1, 0), report
        fields = gate.catalogue.latest[report].fields
        for taken in answer.document["taken_off"]:
            field, decision = fields[taken["field"]], policy.reports[report].get(taken["field"])
            only_the_gate = decision is not None and (decision.action == "pseudonymise" or decision.by == "known")
            carried = not field.nullable and not isinstance(field.type, Array | Map)
            assert only_the_gate or carried or field.path in PREAMBLE, f"{report}: {field.path}"


@pytest.mark.parametrize("tier", TIERS)
def test_what_was_made_before_any_policy_is_taken(gate: RunningGate, tier: str) -> None:
    """A report that was stripped while no policy was known is taken by every tier that has its type."""
    policy = policy_of(gate, tier)
    for report in filter(policy.takes, gate.catalogue.latest):
        answer = post(gate, tier, report, policy=LEAST)
        assert (answer.status, answer.document["accepted"]) == (202, 1), report


def test_the_etag_is_what_the_gate_asks_for(gate: RunningGate) -> None:
    """A device that keeps the ETag is told that its policy is still the one."""
    etag = policy_of(gate, "byod").etag
    assert etag is not None
    assert gate.get("/t/byod/v1/policy", {"if-none-match": etag}).status == 304


@pytest.mark.parametrize("kept", [{}, {"accept-encoding": "gzip;q=0"}], ids=["compressed", "plain"])
def test_a_policy_compressed_and_plain(gate: RunningGate, kept: dict[str, str]) -> None:
    """Both forms are one policy: each says on what it depends, and the tag of either is known to whoever asks anew."""
    had = gate.get("/t/byod/v1/policy", kept)
    for asked in ({"accept-encoding": "gzip"}, {"accept-encoding": "identity"}):
        answer = gate.get("/t/byod/v1/policy", asked)
        assert answer.document == had.document
        assert (answer.headers["vary"], answer.headers["etag"]) == ("accept-encoding", had.headers["etag"])
        is_gzip = asked["accept-encoding"] == "gzip"
        assert answer.headers.get("content-encoding") == ("gzip" if is_gzip else None)
        assert (int(answer.headers["content-length"]) < len(answer.raw) / 10) is is_gzip
        again = gate.get("/t/byod/v1/policy", {**asked, "if-none-match": f'"other", {had.headers["etag"]}'})
        assert (again.status, again.raw, again.headers["vary"]) == (304, b"", "accept-encoding")
