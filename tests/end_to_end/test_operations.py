"""What an operator meets: policy, health, metrics, reloads, and the reasons for which a gate does not start."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingest.problems import Reason
from schemas.plan import Action
from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import assert_refused
from tests.running_gate import (
    RunningGate,
    change_tier,
    copy_tier,
    edit,
    eventually,
    refused_start,
    running_gate,
    tier_files,
)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate whose policies are changed while it runs."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        eventually(lambda: running.get("/readyz").status == 200, "the gate is ready")
        yield running


@pytest.fixture(scope="module")
def good(gate: RunningGate) -> bytes:
    """A report that every tier takes."""
    return Reports(gate.catalogue).message()


def test_the_ready_line_names_every_endpoint(gate: RunningGate) -> None:
    """The one line on stdout names the URL of every tier, and each of them answers."""
    assert gate.stdout.count(b"\n") == 1
    assert gate.ready["event"] == "ready"
    assert gate.ready["tiers"].keys() == gate.catalogue.tiers.keys()
    for tier, url in gate.ready["tiers"].items():
        assert gate.get(f"{urlsplit(url).path}/v1/policy").document["tier"] == tier


def test_a_policy_is_published(gate: RunningGate) -> None:
    """A device can read what becomes of each field, and by which limits it goes, before it sends anything."""
    policy = gate.get("/t/contractor/v1/policy").document
    assert (policy["tier"], policy["window_minutes"], policy["min_tasks_per_row"]) == ("contractor", 60, 5)
    assert policy["requires_consent"] == {"fallback_window": "fallback_reports"}
    reports = {report["report"]: report for report in policy["reports"]}
    assert reports.keys() == set(gate.catalogue.tiers["contractor"].reports)
    fields = {entry["field"]: entry for entry in reports["route_window"]["fields"]}
    assert fields["user_email"]["action"] == "drop"
    assert fields["user_email"]["refused_from"] == "2020-01-01"
    assert all(entry["why"] for entry in fields.values())


def test_a_policy_by_hostname_is_the_same(gate: RunningGate) -> None:
    """The hostname of a tier and its path lead to the same endpoint."""
    by_host = gate.get("/v1/policy", {"host": "Contractor.tidegate.localhost:443"})
    assert by_host.raw == gate.get("/t/contractor/v1/policy").raw


def test_a_post_by_hostname_is_taken(gate: RunningGate, good: bytes) -> None:
    """A report may be posted to a tier's hostname without a prefix."""
    headers = {
        "host": "byod.tidegate.localhost",
        "authorization": f"Bearer {gate.tokens['byod']}",
        "content-type": "application/avro",
    }
    assert gate.request("POST", "/v1/reports/route_window", good, headers).status == 202


def test_an_unchanged_policy_is_not_sent_again(gate: RunningGate) -> None:
    """Who has a policy already gets 304 without a body; a change of the policy changes the tag."""
    first = gate.get("/t/byod/v1/policy")
    again = gate.get("/t/byod/v1/policy", {"if-none-match": first.headers["etag"]})
    assert (again.status, again.raw) == (304, b"")
    change_tier(gate.tiers / "byod.toml", retention_days="181", horizon_days="44")
    gate.reload()
    changed = gate.get("/t/byod/v1/policy", {"if-none-match": first.headers["etag"]})
    assert changed.status == 200
    assert changed.headers["etag"] != first.headers["etag"]


def test_health_and_readiness(gate: RunningGate) -> None:
    """A gate that can take reports says that it is alive and ready."""
    assert gate.get("/healthz").document == {"status": "alive"}
    assert gate.get("/readyz").document == {"status": "ready"}


def test_metrics_parse_and_their_labels_are_closed(gate: RunningGate, good: bytes) -> None:
    """Prometheus can read the metrics, and no label has a value outside its closed set, whatever was asked."""
    gate.post("managed", "route_window", good)
    gate.post("managed", "person-17", good)
    gate.get("/t/person-17/v1/policy")
    families = list(text_string_to_metric_families(gate.get("/metrics").raw.decode()))
    assert {family.name for family in families} >= {"tidegate_gate_received", "tidegate_gate_reports"}
    catalogue = gate.catalogue
    allowed = {
        "tier": {*catalogue.tiers, "none"},
        "outcome": {"accepted", *(reason.value for reason in Reason)},
        "report": set(catalogue.latest),
        "action": {action.value for action in Action},
        "field": {path for schema in catalogue.schemas for path in schema.fields} | {"unknown"},
        "status_class": {"none", "1xx", "2xx", "3xx", "4xx", "5xx"},
        "result": {"applied", "refused"},
    }
    samples = [sample for family in families for sample in family.samples if sample.name.startswith("tidegate_")]
    assert len(samples) > 100
    for sample in samples:
        for label, value in sample.labels.items():
            assert label == "le" or value in allowed[label]


def test_a_changed_policy_takes_effect(gate: RunningGate, good: bytes) -> None:
    """After SIGHUP the files as they are now are in force, for posts as for what is published."""
    change_tier(gate.tiers / "managed.toml", version="41")
    gate.reload()
    assert gate.get("/t/managed/v1/policy").document["policy_version"] == 41
    assert gate.post("managed", "route_window", good).document["policy_version"] == 41
    assert {"managed": 41}.items() <= {line["tier"]: line["version"] for line in gate.events("policy_reloaded")}.items()
    assert gate.metrics()['tidegate_gate_policy_version{tier="managed"}'] == 41


def test_a_new_tier_needs_no_restart(gate: RunningGate, good: bytes) -> None:
    """A further policy file is a further endpoint after SIGHUP, and one that is taken away is gone."""
    file = copy_tier(gate.tiers / "managed.toml", "kiosk")
    gate.reload()
    token = gate.token("kiosk")
    eventually(lambda: gate.post("kiosk", "route_window", good, token=token).status == 202, "the tier takes reports")
    file.unlink()
    gate.reload()
    answer = gate.post("kiosk", "route_window", good, token=token)
    assert_refused(answer, "misdirected", gate.catalogue, status=421, action="ask_admin")


def broken(why: str, break_it: Callable[[Path], object], said: str, *, line: bool = True) -> object:
    """A way to break the byod policy; `line` says that the place is known, `said` is part of the fix or the problem."""
    return pytest.param(break_it, line, said, id=why)


def rule(*lines: str) -> Callable[[Path], object]:
    """Write one more rule at the end of the file."""
    text = "\n".join(["", "[[rule]]", *lines, ""])
    return lambda file: file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def keep_an_identifier(file: Path) -> None:
    """Keep what the policy drops."""
    name = 'fields = ["device_id"]'
    edit(file, re.escape(name) + '\naction = "drop"', f'{name}\naction = "keep"')


def put_a_directory_there(file: Path) -> None:
    """Take the file away and make what cannot be read."""
    file.unlink()
    file.mkdir()


DROP, WHY = 'action = "drop"', 'why = "x"'

BROKEN = [
    broken("not TOML", rule("[[rule"), "correct the syntax"),
    broken("not UTF-8", lambda file: file.write_bytes(b"\xff\xfe" + file.read_bytes()), "UTF-8"),
    broken("a directory", put_a_directory_there, "cannot be read", line=False),
    broken("a key that there is not", lambda file: edit(file, "(?m)^k = 10$", "kk = 10"), "kk"),
    broken("a number out of range", lambda file: change_tier(file, k="0"), "greater than or equal"),
    broken("a word for a number", lambda file: change_tier(file, burst='"many"'), "integer"),
    broken("an action that there is not", rule('fields = ["os"]', 'action = "forget"', WHY), "keep, drop"),
    broken("a field that there is not", rule('fields = ["user_mail"]', DROP, WHY), "user_email"),
    broken("a field named twice", rule('fields = ["user_email"]', DROP, WHY), "user_email"),
    broken("a rule without a reason", rule('fields = ["os"]', DROP), "why"),
    broken("an identifier that is kept", keep_an_identifier, "device_id"),
]


@pytest.mark.parametrize(("break_it", "line", "said"), BROKEN)
def test_a_broken_policy_is_refused_and_the_old_one_stays(
    gate: RunningGate, good: bytes, break_it: Callable[[Path], object], line: bool, said: str
) -> None:
    """A broken file is refused on stderr with file, line and fix, and the policy that was in force stays in force."""
    file = gate.tiers / "byod.toml"
    content = file.read_bytes()
    before, refused = gate.get("/t/byod/v1/policy").raw, len(gate.events("policy_refused"))
    change_tier(gate.tiers / "managed.toml", version="99")
    break_it(file)
    try:
        gate.reload()
        found = gate.events("policy_refused")[refused:]
        assert found
        assert (str(file), line) in {(finding["file"], finding["line"] > 0) for finding in found}
        assert said in " ".join(finding["problem"] + finding["fix"] for finding in found)
        assert all(finding["fix"] for finding in found)
        assert gate.get("/t/byod/v1/policy").raw == before
        assert gate.get("/t/managed/v1/policy").document["policy_version"] != 99
        assert gate.post("byod", "route_window", good).status == 202
    finally:
        if file.is_dir():
            file.rmdir()
        file.write_bytes(content)
        change_tier(gate.tiers / "managed.toml", version="41")


@pytest.mark.parametrize(("break_it", "line", "said"), BROKEN)
def test_a_broken_policy_does_not_start(
    tmp_path: Path, break_it: Callable[[Path], object], line: bool, said: str
) -> None:
    """With a broken file a gate does not start, says where and how to mend it, and ends with 1."""
    tiers = tier_files(tmp_path / "tiers")
    break_it(tiers / "byod.toml")
    code, stderr = refused_start(tmp_path, tiers=tiers)
    assert code == 1
    assert re.search(rf"{re.escape(str(tiers / 'byod.toml'))}:{'[0-9]+:' if line else ' '}", stderr)
    assert said in stderr
    assert "fix:" in stderr
    assert "Traceback" not in stderr


def test_a_directory_without_policies_does_not_start(tmp_path: Path) -> None:
    """Without a policy there is nothing to go by, so the gate does not start and names the directory."""
    code, stderr = refused_start(tmp_path, tiers=tmp_path)
    assert code == 1
    assert str(tmp_path) in stderr
    assert "fix:" in stderr


def test_a_second_gate_on_the_same_data_does_not_start(gate: RunningGate, good: bytes) -> None:
    """A data directory belongs to one gate; another one is told so, and the first goes on."""
    code, stderr = refused_start(gate.folder, tiers=gate.tiers)
    assert code == 1
    assert f"pid {gate.process.pid}" in stderr
    assert "data directory of its own" in stderr
    assert gate.post("managed", "route_window", good).status == 202


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    """A gate that cannot have its port says which and ends with 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, stderr = refused_start(tmp_path, tiers=tier_files(tmp_path / "tiers"), port=port)
    assert code == 1
    assert str(port) in stderr
    assert "Address already in use" in stderr


def test_a_file_where_the_data_should_be_is_told(tmp_path: Path) -> None:
    """A data directory that cannot be made is named, with what to do."""
    (tmp_path / "data").write_bytes(b"a file")
    code, stderr = refused_start(tmp_path, tiers=tier_files(tmp_path / "tiers"))
    assert code == 1
    assert str(tmp_path / "data") in stderr
    assert "Traceback" not in stderr


def test_what_an_earlier_policy_let_through_stays_readable(tmp_path: Path) -> None:
    """After a policy was tightened, `log tail` reads what was stored before as well as what came after."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        reports = Reports(gate.catalogue)
        assert gate.post("contractor", "trace_window", reports.message("trace_window")).status == 202
        file = gate.tiers / "contractor.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('"windows_lost", ', "").replace("version = 1", "version = 2", 1), encoding="utf-8")
        gate.reload()
        assert gate.post("contractor", "trace_window", reports.message("trace_window")).status == 202
        command = [sys.executable, "-m", "tidegate", "log", "tail", "--json", "--data", str(gate.data)]
        arguments = ["--tiers", str(gate.tiers), "--topic", "tidegate.contractor.*"]
        done = subprocess.run([*command, *arguments], capture_output=True, check=True, timeout=60)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(one["policy_version"], "windows_lost" in one["value"]) for one in found] == [(1, True), (2, False)]
        assert {remark["field"] for one in found for remark in one["remarks"]} >= {"device_id", "hostname"}
