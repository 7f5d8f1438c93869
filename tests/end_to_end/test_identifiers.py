"""Identifiers do not come out: planted in all that a sender can say, searched for in all that the gate says and writes.

A search that finds nothing may be blind, so in each place the same scanner has to find a control that belongs there: a
kept value in the log, the name or the version of a tier elsewhere; and each form of a planted value, when it is put
into a copy of the place, has to be found as well.
"""

import json
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import zstandard

from ingest.records import GATES_OWN
from load.fleet.search import files_under
from load.leaks import Leak, Scanner, forms
from schemas.catalogue import Catalogue
from schemas.report_schema import ReportSchema
from tests.end_to_end.avro_by_hand import message
from tests.end_to_end.planted import (
    KEPT_VERSION,
    Plants,
    broken_bodies,
    broken_json,
    planted_json,
    planted_report,
)
from tests.end_to_end.wire import assert_closed, exchange
from tests.ingest.otlp_collector import Collector, collector
from tests.running_gate import Answer, RunningGate, change_tier, copy_tier, reports_path, running_gate, tier_files

CANARY_TIER = "canary-7f3a"
CANARY_VERSION = 1740131907
PEER = "127.77.66.55"
"""Where the requests come from; a Linux machine answers for all of 127.0.0.0/8."""

FORWARDED_FOR = "198.51.100.217"

CONTROLS = {
    "log, raw bytes": "kept version",
    "log, decoded": "kept version",
    "answers to checks": "kept version",
    "metrics": "tier",
    "stdout": "tier",
    "stderr": "tier",
    "spans and metrics by OTLP": "tier",
    "policies": "tier",
    "answers with 202": "policy version",
    "refusals": "reason",
}
"""Place -> what the scanner has to find there."""

CONTROL_VALUES = {
    "kept version": KEPT_VERSION,
    "tier": CANARY_TIER,
    "policy version": str(CANARY_VERSION),
    "reason": "duplicate_key",
}


@dataclass(slots=True)
class Evidence:
    """Everything that came out of a gate, by place, and what was planted in what went in."""

    plants: Plants
    places: dict[str, object]
    refusals: list[Answer] = field(repr=False)
    accepted: int
    catalogue: Catalogue = field(repr=False)


class Sender:
    """Sends planted requests to one gate and keeps every answer, head and body, by place."""

    def __init__(self, gate: RunningGate, plants: Plants) -> None:
        self.gate = gate
        self.plants = plants
        self.answers: dict[str, list[bytes]] = {}
        self.refusals: list[Answer] = []
        self.accepted = 0
        local = PEER if sys.platform == "linux" else None
        if local:
            plants.values["address of the peer"] = local
        self._client = httpx.Client(transport=httpx.HTTPTransport(local_address=local), timeout=20)

    def close(self) -> None:
        self._client.close()

    def headers(self) -> dict[str, str]:
        """Everything that a client, a proxy or a tracer may put beside a request."""
        word = self.plants.word
        trace, span = self.plants.digits("trace id", 32), self.plants.digits("span id", 16)
        self.plants.values["forwarded for"] = FORWARDED_FOR
        return {
            "traceparent": f"00-{trace}-{span}-01",
            "tracestate": f"vendor={word('tracestate')}",
            "baggage": f"user={word('baggage')},{word('baggage name')}=1",
            "user-agent": f"agent/{word('user agent')}",
            "x-forwarded-for": FORWARDED_FOR,
            "forwarded": f"for={word('forwarded')}",
            "x-request-id": word("request id"),
            "cookie": f"session={word('cookie')}",
            "referer": f"https://{word('referer')}.example.org/",
            "from": self.plants.text("from header"),
            "prefer": f'{word("preference")}, wait="{word("quoted preference")}"',
            f"x-{word('header name')}": "1",
        }

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request with planted headers, from a planted address; the answer is filed under its kind."""
        answer = self._client.request(
            method, self.gate.url + path, content=body, headers=self.headers() | {"authorization": ""} | headers
        )
        kept = Answer(answer.status_code, {name.lower(): text for name, text in answer.headers.items()}, answer.content)
        place = self._place(kept, path)
        head = "\r\n".join(f"{name}: {value}" for name, value in kept.headers.items())
        self.answers.setdefault(place, []).append(head.encode() + b"\r\n\r\n" + kept.raw)
        return kept

    def post(
        self, tier: str, report: str | None, body: bytes, kind: str = "avro", query: str = "", **more: str
    ) -> Answer:
        """A post with the tier's good token; without a report, of any."""
        named = {"authorization": f"Bearer {self.gate.tokens[tier]}", "content-type": f"application/{kind}"}
        return self.send("POST", reports_path(tier, report) + query, body, **(named | more))

    def _place(self, answer: Answer, path: str) -> str:
        if answer.status == 202:
            self.accepted += answer.document["accepted"]
            return "answers with 202"
        if answer.status == 200:
            return "answers to checks" if "check=1" in path else "policies"
        self.refusals.append(answer)
        return "refusals"


def send_reports(sender: Sender) -> None:
    """Every report type to every tier, in every encoding, stored and checked; and all of them in one batch."""
    for tier in sender.gate.catalogue.tiers:
        for query in ("", "?check=1"):
            every = [
                message(schema, planted_report(schema, sender.plants, tier=tier))
                for schema in sender.gate.catalogue.schemas
            ]
            sender.post(tier, None, _sequence(every[0][:-9], *every), "avro-sequence", query=query)
        for schema in sender.gate.catalogue.schemas:
            for query in ("", "?check=1"):
                avro = message(schema, planted_report(schema, sender.plants, tier=tier))
                sender.post(tier, schema.name, avro, query=query)
                plain = json.dumps(planted_json(schema, sender.plants, tier=tier), default=bytes.hex).encode()
                sender.post(tier, schema.name, plain, "json", query=query)
                sender.post(tier, schema.name, zstandard.compress(avro), query=query, **{"content-encoding": "zstd"})
                sender.post(tier, schema.name, _sequence(avro, avro[:-9], avro), "avro-sequence", query=query)


def _sequence(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(one)) + one for one in messages)


def send_broken_bodies(sender: Sender, schema: ReportSchema) -> None:
    """Bodies that end in errors, to every tier, stored and checked."""
    for tier in sender.gate.catalogue.tiers:
        for body in broken_bodies(schema, sender.plants, tier=tier):
            sender.post(tier, schema.name, body)
            sender.post(tier, schema.name, body, query="?check=1")
            sender.post(tier, schema.name, body, **{"content-encoding": "gzip"})
            sender.post(tier, None, body)
        for body in broken_json(sender.plants):
            sender.post(tier, schema.name, body, "json")
            sender.post(tier, None, body, "json")
            sender.post(tier, schema.name, body, "json", "?check=1")


def send_broken_requests(sender: Sender) -> None:
    """Names and values in every part of a request that has room for them."""
    word, token = sender.plants.word, sender.gate.tokens["managed"]
    wrong = f"tg_{word('id of a wrong token')[:12]}_{(word('wrong token') * 2)[:52]}"
    sender.plants.values |= {"wrong token": wrong, "good token": token}
    path = "/t/managed/v1/reports"
    for headers in (
        {"authorization": f"Bearer {wrong}"},
        {"authorization": f"Basic {word('other credentials')}"},
        {"authorization": f"Bearer {token}", "host": f"{word('host')}.example.org"},
        {"authorization": f"Bearer {token}", "content-type": f"application/{word('content type')}"},
        {"authorization": f"Bearer {token}", "content-type": "application/avro", "content-encoding": word("coding")},
    ):
        sender.send("POST", f"{path}/route_window", b"x", **headers)
    for method, target in (
        ("POST", f"{path}/{word('report name')}"),
        ("POST", f"{path}/route_window?{word('query name')}={word('query value')}"),
        ("POST", f"{path}/route_window?check=%ff{word('query that is no UTF-8')}"),
        ("POST", f"/t/{word('tier')}/v1/reports/route_window"),
        ("PATCH", f"{path}/{word('report name of another method')}"),
        ("GET", f"/{word('path')}"),
        ("GET", f"/v1/problems/{word('problem')}"),
        ("GET", f"/t/managed/v1/policy/?{word('query of a redirect')}"),
    ):
        sender.send(method, target, b"", authorization=f"Bearer {token}")
    for tier in sender.gate.catalogue.tiers:
        sender.send("GET", f"/t/{tier}/v1/policy", b"", **{"if-none-match": word("etag")})
    _send_no_http(sender)


def _send_no_http(sender: Sender) -> None:
    answer = exchange(sender.gate, sender.plants.text("no HTTP").encode() + b"\r\n\r\n")
    sender.refusals.append(answer)
    sender.answers["refusals"].append(answer.raw)


def raw_files(data: Path) -> bytes:
    """Every byte of every file below a data directory, and every name."""
    files = files_under(data).items()
    return b"\n".join(part for file, content in files for part in (str(file.relative_to(data)).encode(), content))


def _traced(otlp: Collector) -> dict[str, str]:
    """This environment, with every span and metric sent to a collector."""
    return os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.endpoint, "OTEL_TRACES_SAMPLER": "always_on"}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """All that a gate with debug lines and every span said and wrote while planted requests of every kind came in."""
    folder = tmp_path_factory.mktemp("gate")
    tiers = tier_files(folder / "tiers")
    copy_tier(tiers / "managed.toml", CANARY_TIER, version=str(CANARY_VERSION - 1))
    with collector() as otlp, running_gate(folder, tiers=tiers, environment=_traced(otlp), log_level="debug") as gate:
        change_tier(tiers / f"{CANARY_TIER}.toml", version=str(CANARY_VERSION))
        gate.reload()
        with closing(Sender(gate, Plants())) as sender:
            send_reports(sender)
            send_broken_bodies(sender, gate.catalogue.latest["route_window"])
            send_broken_requests(sender)
        metrics = gate.get("/metrics").raw
        while_running = raw_files(gate.data)
        gate.stop()
        yield Evidence(
            plants=sender.plants,
            places={
                "log, raw bytes": while_running + raw_files(gate.data),
                "log, decoded": [(entry, gate.decoded(entry)) for entry in gate.entries()],
                "metrics": metrics,
                "stdout": gate.stdout,
                "stderr": gate.stderr,
                "spans and metrics by OTLP": b"\n".join(body for _, body in otlp.posts),
                **{place: b"\n".join(answers) for place, answers in sender.answers.items()},
            },
            refusals=sender.refusals,
            accepted=sender.accepted,
            catalogue=gate.catalogue,
        )


def test_no_planted_value_is_anywhere(evidence: Evidence) -> None:
    """No planted value is found in any place, in any form."""
    assert len(evidence.plants.values) > 1000
    assert not Scanner(evidence.plants.values).scan(evidence.places)


@pytest.mark.parametrize(("place", "control"), CONTROLS.items())
def test_the_scanner_sees_what_belongs_there(evidence: Evidence, place: str, control: str) -> None:
    """In each place the scanner finds the value that may be there, so it would have found another one."""
    found = Scanner(CONTROL_VALUES).scan({place: evidence.places[place]})
    assert Leak(place, control, "plain") in found


def test_every_place_has_a_control(evidence: Evidence) -> None:
    """No place is searched without a control that shows that the search can see."""
    assert evidence.places.keys() == CONTROLS.keys()


@pytest.mark.parametrize("place", CONTROLS)
def test_every_form_would_be_found_there(evidence: Evidence, place: str) -> None:
    """Each form of a planted value is found once it is put into the middle of a copy of the place."""
    value = evidence.plants.text("put into a copy").encode()
    written = list(forms(value))
    scanner = Scanner({"it": value})
    content = evidence.places[place]
    middle = b"".join(b"\n--" + needle for _, needle in written)
    copy = content[: len(content) // 2] + middle if isinstance(content, bytes) else [content, middle]
    assert {leak.form for leak in scanner.scan({place: copy})} >= {form for form, _ in written}


def test_the_errors_were_of_many_kinds(evidence: Evidence) -> None:
    """The search covered the paths of many different errors, and each of them gave an answer of the closed list."""
    for answer in evidence.refusals:
        assert_closed(answer, evidence.catalogue)
    assert len({answer.document["reason"] for answer in evidence.refusals}) >= 25


def test_the_log_holds_what_was_accepted(evidence: Evidence) -> None:
    """The log that was searched holds every report that was accepted, of every tier, and decodes to the last byte."""
    entries = evidence.places["log, decoded"]
    assert isinstance(entries, list)
    stored = [entry for entry, _ in entries if entry.topic not in GATES_OWN]
    assert len(stored) == evidence.accepted > 100
    assert {entry.topic.split(".")[1] for entry in stored} == set(evidence.catalogue.tiers)
