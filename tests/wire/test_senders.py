"""Senders that nobody here wrote a codec for: Go with hamba/avro and Java with Apache Avro get the golden answers.

Both languages decode every golden report and post what their own library makes of it; and the sender that docs/wire.md
shows posts a report of its own, to a gate of today.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import load_catalogue
from tests.running_gate import RunningGate
from tests.wire.files import FOLDER, GoldenFile, golden_files
from tests.wire.fingerprints import TIME_IN_GO, canonical, crc_64_avro
from tests.wire.golden_gate import CHECK, gate_of_today, golden_gate
from tests.wire.senders import ROOT, Senders, in_go, in_java, run

CATALOGUE = load_catalogue()
SCHEMAS = ROOT / "schemas" / "reports"
FILES = {str(file.body.relative_to(FOLDER)): file for file in golden_files()}
BY_SENDER = GoldenFile(FOLDER / "managed" / "route_window.sender.avro")

OF_THE_MOMENT = ("report_id", "window_start", "window_end")
"""What a sender draws or takes from its clock."""

LANGUAGES: dict[str, Callable[[Path], Senders]] = {"go": in_go, "java": in_java}


@dataclass(frozen=True, slots=True)
class Printed:
    """What the program that posts the golden reports has said: fingerprints by report, posts by file."""

    fingerprints: dict[str, str]
    posts: dict[str, tuple[bytes, dict[str, Any]]]


@pytest.fixture(scope="module", params=sorted(LANGUAGES))
def senders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Senders:
    """The programs of one language."""
    return LANGUAGES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """The gate that gave the golden answers."""
    with golden_gate(tmp_path_factory.mktemp("golden")) as running:
        yield running


@pytest.fixture(scope="module")
def printed(senders: Senders, gate: RunningGate) -> Printed:
    """What a language says of the golden reports."""
    return posted(senders, gate, "")


def posted(senders: Senders, gate: RunningGate, query: str) -> Printed:
    """Have every golden report posted by a language's own codec."""
    tokens = {f"TOKEN_{tier.upper()}": token for tier, token in gate.tokens.items()}
    said = run([*senders.golden, gate.url, str(FOLDER), str(SCHEMAS), *filter(None, [query])], tokens)
    lines = [line.split("\t") for line in said.splitlines()]
    return Printed(
        {line[1]: line[2] for line in lines if line[0] == "schema"},
        {
            line[1]: (bytes.fromhex(line[2]), {"status": int(line[3]), "answer": json.loads(line[4])})
            for line in lines
            if line[0] == "report"
        },
    )


def test_they_get_the_golden_answers(printed: Printed) -> None:
    """Every golden report that a library has decoded and encoded anew gets the golden answer."""
    golden = {name: {key: file.answer[key] for key in ("status", "answer")} for name, file in FILES.items()}
    assert {name: answer for name, (_, answer) in printed.posts.items()} == golden


def test_a_check_shows_the_golden_records(senders: Senders, gate: RunningGate) -> None:
    """What would be stored of a report is the same, to the last value, whichever library wrote it."""
    checked = posted(senders, gate, CHECK)
    golden = {name: file.answer["check"] for name, file in FILES.items()}
    assert {name: answer for name, (_, answer) in checked.posts.items()} == golden


def test_go_writes_sized_blocks_and_java_plain_ones(senders: Senders, printed: Printed) -> None:
    """The golden bytes are those that the libraries write: hamba/avro sized blocks, Apache Avro plain ones."""
    plain, sized, largest = (
        f"managed/{name}.avro"
        for name in ("route_window.full", "route_window.sized_blocks", "stability_window.largest")
    )
    wanted = FILES[sized if senders.language == "Go" else plain].raw
    assert {name: printed.posts[name][0] for name in (plain, sized, largest)} == {
        plain: wanted,
        sized: wanted,
        largest: FILES[largest].raw,
    }


def test_java_computes_the_fingerprints_and_go_others(senders: Senders, printed: Printed) -> None:
    """Java computes the fingerprints of the specification; hamba/avro takes them of a form with logical types."""
    right = {name: schema.fingerprint for name, schema in CATALOGUE.latest.items()}
    others = {name: crc_64_avro(canonical(schema, time=TIME_IN_GO)) for name, schema in CATALOGUE.latest.items()}
    wanted = right if senders.language == "Java" else others
    assert printed.fingerprints == {name: fingerprint.hex() for name, fingerprint in wanted.items()}


def test_the_sender_of_the_page_gets_the_golden_answer(senders: Senders, tmp_path: Path) -> None:
    """The sender that an engineer copies gets the golden answer, and a check shows the golden record."""
    schema = SCHEMAS / "route_window.v1.avsc"
    with gate_of_today(tmp_path) as today:
        url = f"{today.url}/t/managed/v1/reports/route_window"
        answer, check = (
            run([*senders.send, url + query, str(schema)], {"TOKEN": today.tokens["managed"]}) for query in ("", CHECK)
        )
    golden = BY_SENDER.answer
    assert said(answer) == {key: golden[key] for key in ("status", "answer")}
    assert timeless(said(check)) == timeless(golden["check"])


def said(line: str) -> dict[str, Any]:
    """Status and answer as a sender prints them."""
    status, _, answer = line.partition(" ")
    return {"status": int(status), "answer": json.loads(answer)}


def timeless(check: dict[str, Any]) -> dict[str, Any]:
    """The answer to a check without what differs from one post to the next."""
    [shown] = check["answer"]["checked"]
    assert shown["stripped"].keys() >= set(OF_THE_MOMENT)
    kept = {name: value for name, value in shown["stripped"].items() if name not in OF_THE_MOMENT}
    return check | {"answer": {"checked": [shown | {"stripped": kept}]}}


def test_a_wrong_token_is_told(senders: Senders, gate: RunningGate) -> None:
    """The sender shows status, reason and action of a refusal instead of falling over."""
    url = f"{gate.url}/t/managed/v1/reports/route_window"
    told = said(run([*senders.send, url, str(SCHEMAS / "route_window.v1.avsc")], {"TOKEN": "tg_no"}))
    assert told["status"] == 401
    assert told["answer"]["action"] == "ask_admin"
