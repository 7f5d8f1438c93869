"""`tidegate strip`: the gate's own verdict on a file, in every form, without a value of what goes."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.body import LENGTH, MAX_BODY
from load.reports import encode, make_report
from schemas.catalogue import load_catalogue
from tests.running_gate import tier_files
from tidegate.cli import main

NOW = "2026-11-21T09:40:00Z"
NOW_MS = 1_795_254_000_000
CATALOGUE = load_catalogue()

TYPED: dict[str, Any] = {
    "report_id": "00112233-4455-6677-8899-aabbccddeeff",
    "window_start": "2026-11-21T08:05:00Z",
    "window_end": "2026-11-21T08:10:00Z",
    "device_id": "planted-device",
    "user_email": "planted-mail",
    "hostname": "planted-host",
    "agent_version": "2.3.1",
    "hardware_tier": "workstation",
    "network_context": "home",
    "planted_key": "planted-value",
    "attributes": {"planted-name": "planted-attribute"},
}


@pytest.fixture
def tiers(tmp_path: Path) -> Path:
    """The policies that ship, with refusals that do not depend on the day."""
    return tier_files(tmp_path / "tiers")


def strip(tiers: Path, tier: str, *arguments: object, typed: bytes | None = None) -> Result:
    """Run `tidegate strip` at a known time."""
    command = ["strip", tier, *map(str, arguments), "--tiers", str(tiers), "--now", NOW]
    return CliRunner().invoke(main, command, input=typed)


def typed(folder: Path, name: str = "trace_window.json", **changes: Any) -> Path:
    """The report typed by hand, with changes, in a file."""
    file = folder / name
    file.write_text(json.dumps({**TYPED, **changes}), encoding="utf-8")
    return file


def message(report: str, seed: int = 1) -> bytes:
    """A seeded report as an Avro message."""
    schema = CATALOGUE.latest[report]
    return encode(schema, make_report(schema, Random(seed), now=NOW_MS))


def test_accepted_report(tmp_path: Path, tiers: Path) -> None:
    """What stays is shown with its value, what goes with its action, count and reason, and the exit code is 0."""
    result = strip(tiers, "byod", typed(tmp_path))
    printed = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert 'window_start "2026-11-21T08:00:00.000+00:00"' in printed
    assert 'agent_version "2.3"' in printed
    assert "user_email 1 value" in printed
    assert "names that the schema does not have 2 values" in printed
    assert "From 9999-01-01 on a report that carries it is refused." in printed


@pytest.mark.parametrize("form", [pytest.param([], id="text"), pytest.param(["--json"], id="json")])
@pytest.mark.parametrize("tier", sorted(CATALOGUE.tiers))
def test_no_value_of_what_goes(tmp_path: Path, tiers: Path, tier: str, form: list[str]) -> None:
    """Nothing that a tier takes off, or refuses, is printed, though a value that stays is."""
    result = strip(tiers, tier, typed(tmp_path), *form)
    assert "planted" not in result.output
    assert ("workstation" in result.output) == (result.exit_code == 0)


def test_pseudonyms_are_of_no_gate(tmp_path: Path, tiers: Path) -> None:
    """Two runs show two pseudonyms of one device, and say that they are those of no gate."""
    results = [strip(tiers, "managed", typed(tmp_path)) for _ in range(2)]
    shown = [
        next(line.split()[1] for line in result.stdout.splitlines() if line.startswith("  device_id"))
        for result in results
    ]
    assert shown[0] != shown[1]
    assert "those of a gate are different ones" in " ".join(results[0].stdout.split())


def test_json_document(tmp_path: Path, tiers: Path) -> None:
    """--json has for each report what stays and what goes, with the rule behind it."""
    [document] = json.loads(strip(tiers, "byod", typed(tmp_path), "--json").stdout)
    assert document["outcome"] == "accepted"
    assert document["topic"] == "tidegate.byod.trace_window.v1"
    assert document["stays"]["hardware_tier"] == "workstation"
    goes = {one["field"]: one for one in document["goes"]}
    assert goes["agent_version"]["how"] == "version (parts 2)"
    assert goes["user_email"]["refused_from"] == "9999-01-01"
    assert goes["unknown"]["values"] == 2
    assert all(one["why"] for one in goes.values())


def test_consent_that_is_not_given(tmp_path: Path, tiers: Path) -> None:
    """A field that stays only under a consent is told to go for want of it."""
    [document] = json.loads(strip(tiers, "byod", typed(tmp_path), "--json").stdout)
    told = next(one for one in document["goes"] if one["field"] == "network_context")
    assert told["how"] == "the report does not give the consent location"
    [document] = json.loads(strip(tiers, "byod", typed(tmp_path, consent_location=True), "--json").stdout)
    assert document["stays"]["network_context"] == "home"


def test_refused_report(tmp_path: Path, tiers: Path) -> None:
    """A refusal is told with reason, path, title, the policy's own why, and what a device does; exit code 1."""
    result = strip(tiers, "contractor", typed(tmp_path))
    printed = " ".join(result.stdout.split())
    assert result.exit_code == 1
    why = next(one.why for one in CATALOGUE.tiers["contractor"].refuse_if_present if one.field == "user_email")
    for part in ("reason field_refused", "path user_email", "status 422", "discard: never send these bytes", why):
        assert part in printed


def test_clock_can_be_set(tmp_path: Path, tiers: Path) -> None:
    """The same file is refused as from the future by a clock that is behind."""
    file = typed(tmp_path)
    arguments = ["strip", "byod", str(file), "--tiers", str(tiers), "--json", "--now", "2026-11-20T00:00:00Z"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["reason"] == "window_in_future"


@pytest.mark.parametrize("tier", ["managed", "byod"])
@pytest.mark.parametrize("report", sorted(CATALOGUE.latest))
def test_avro_of_every_report(tmp_path: Path, tiers: Path, tier: str, report: str) -> None:
    """An Avro message is recognised by its marker, and its report by its fingerprint."""
    file = tmp_path / "posted.bin"
    schema = CATALOGUE.latest[report]
    given = make_report(schema, Random(3), now=NOW_MS) | {"consent_diagnostics": True}
    file.write_bytes(encode(schema, given))
    [document] = json.loads(strip(tiers, tier, file, "--json").stdout)
    assert (document["outcome"], document["report"]) == ("accepted", schema.label)


def test_sequence_has_a_verdict_for_each(tmp_path: Path, tiers: Path) -> None:
    """A batch is recognised by its first length and gets a verdict a message; one refused makes exit code 1."""
    parts = [message("sync_window", 1), message("sync_window", 2)[:-1], message("health_window", 3)]
    file = tmp_path / "batch"
    file.write_bytes(b"".join(LENGTH.pack(len(part)) + part for part in parts))
    result = strip(tiers, "managed", file, "--json")
    assert result.exit_code == 1
    verdicts = json.loads(result.stdout)
    assert [one.get("reason", "accepted") for one in verdicts] == ["accepted", "truncated", "wrong_report"]
    assert "report 2 of 3: sync_window is refused by managed" in strip(tiers, "managed", file).stdout


def test_json_on_stdin_needs_its_report(tmp_path: Path, tiers: Path) -> None:
    """JSON does not say which report it is, so on stdin --report does."""
    body = typed(tmp_path).read_bytes()
    unnamed = strip(tiers, "byod", "-", typed=body)
    assert unnamed.exit_code == 2
    assert "give --report, one of capability_probe" in unnamed.stderr
    assert strip(tiers, "byod", "-", "--report", "trace_window", typed=body).exit_code == 0


@pytest.mark.parametrize(
    ("body", "arguments", "reason"),
    [
        pytest.param(b"\xc3\x01" + bytes(8), [], "unknown_schema", id="a fingerprint nobody knows"),
        pytest.param(b"\xc3\x01", [], "truncated", id="the marker alone"),
        pytest.param(b"{", ["--report", "trace_window"], "bad_json", id="broken JSON"),
        pytest.param(b"[]", ["--report", "trace_window"], "empty_body", id="no report in the array"),
        pytest.param(b"planted", ["--media-type", "application/avro"], "bad_marker", id="not what it is said to be"),
        pytest.param(b"[" + b" " * MAX_BODY, ["--report", "trace_window"], "body_too_large", id="over 1 MiB"),
    ],
)
def test_bytes_that_are_no_report(tmp_path: Path, tiers: Path, body: bytes, arguments: list[str], reason: str) -> None:
    """Whatever bytes are given, the answer is a reason of the gate's list, and nothing of the bytes."""
    file = tmp_path / "file"
    file.write_bytes(body)
    result = strip(tiers, "byod", file, "--json", *arguments)
    assert result.exit_code == 1
    assert [one["reason"] for one in json.loads(result.stdout)] == [reason]
    assert "planted" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--now", "yesterday"], "write it like 2026-11-21T09:30:00Z", id="no time"),
        pytest.param(["--now", "2026-11-21T09:30:00"], "add Z for UTC", id="a time by no clock"),
        pytest.param(["--report", "trace_windw"], "did you mean trace_window", id="no report"),
        pytest.param(["--media-type", "text/plain"], "application/avro", id="no media type"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], said: str) -> None:
    """A wrong option ends the command with 2 and what would be right."""
    result = CliRunner().invoke(main, ["strip", "byod", str(typed(tmp_path)), *arguments])
    assert result.exit_code == 2
    assert said in result.stderr


def test_file_that_looks_like_nothing(tmp_path: Path, tiers: Path) -> None:
    """A file that begins like none of the media types asks for --media-type and repeats nothing of it."""
    file = tmp_path / "file"
    file.write_bytes(b"planted")
    result = strip(tiers, "byod", file)
    assert result.exit_code == 2
    assert "say what it is with --media-type" in result.stderr
    assert "planted" not in result.stderr


@pytest.mark.parametrize("report", sorted(CATALOGUE.latest))
def test_example_of_every_report(tmp_path: Path, report: str) -> None:
    """The example that `schema show` prints is accepted by the managed tier, which takes the host's name off."""
    shown = CliRunner().invoke(main, ["schema", "show", report, "--example"])
    file = tmp_path / f"{report}.json"
    file.write_text(shown.stdout, encoding="utf-8")
    result = CliRunner().invoke(main, ["strip", "managed", str(file), "--json"])
    [document] = json.loads(result.stdout)
    assert (result.exit_code, document["outcome"], document["report"]) == (0, "accepted", f"{report}.v1")
    assert ("hostname", "drop") in [(told["field"], told["action"]) for told in document["goes"]]
