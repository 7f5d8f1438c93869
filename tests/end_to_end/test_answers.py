"""From posted reports to published answers, through the real program: in one process, and in two."""

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.access.tokens import Role
from tests.end_to_end.fleet_of_ten import DEVICES, MODEL, TASKS, post_all
from tests.end_to_end.reports import HOUR_MS, this_hour
from tests.running_gate import Answer, RunningGate, change_tier, eventually, refused_start, running_gate, tier_files
from tidegate.cli.manifest import manifest_group

BOTH: dict[str, Any] = {"only": None, "publish_every_seconds": 3600, "settle_seconds": 3600}
SPLIT: dict[str, Any] = {"publish_every_seconds": 3600, "settle_seconds": 3600}

R1 = "/v1/answers/R1?by=route&bucket=hour"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """Gate and answers in one process, in which ten devices' reports are published."""
    folder = tmp_path_factory.mktemp("both")
    with running_gate(folder, tiers=tier_files(folder / "tiers"), **BOTH) as running:
        post_all(running)
        assert running.publish().status == 200
        yield running


def tasks_by_route(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Tasks of each route in the rows of an answer."""
    return {row["route"]: int(float(row["tasks"])) for row in rows}


FORMATS = (
    "application/json",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
)
EXPECTED = {route: DEVICES * tasks for route, tasks in TASKS.items()}


def in_json(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a JSON answer."""
    return list(answer.document["rows"])


def in_csv(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a CSV answer; all of them texts."""
    return list(csv.DictReader(io.StringIO(answer.raw.decode())))


def in_arrow(answer: Answer) -> list[dict[str, Any]]:
    """The rows of an Arrow stream."""
    return list(pa.ipc.open_stream(answer.raw).read_all().to_pylist())


def in_parquet(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    return list(pq.read_table(io.BytesIO(answer.raw)).to_pylist())


@pytest.mark.parametrize(
    ("media_type", "rows"),
    [
        pytest.param("application/json", in_json, id="JSON"),
        pytest.param("text/csv", in_csv, id="CSV"),
        pytest.param("application/vnd.apache.arrow.stream", in_arrow, id="Arrow"),
        pytest.param("application/vnd.apache.parquet", in_parquet, id="Parquet"),
    ],
)
def test_what_was_posted_is_answered(
    gate: RunningGate, media_type: str, rows: Callable[[Answer], list[dict[str, Any]]]
) -> None:
    """What ten devices posted is counted and answered the same in every format."""
    answer = gate.ask(R1, accept=media_type)
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, media_type)
    assert tasks_by_route(rows(answer)) == EXPECTED


def test_answer_says_up_to_when_it_is_complete(gate: RunningGate) -> None:
    """A publication that takes in the open hour is complete up to the beginning of that hour."""
    document = gate.ask(R1).document
    status = gate.ask("/v1/status", "auditor").document
    assert document["complete_to"] == status["publication"]["complete_to"]
    assert document["complete_to"] in {iso(this_hour()), iso(this_hour() - HOUR_MS)}
    assert document["published_at"] == status["publication"]["published_at"]


def iso(at_ms: int) -> str:
    """As answers write a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))


def test_names_without_a_manifest_are_other(gate: RunningGate) -> None:
    """Without a manifest every model reads other, and the answer names the command that mends it."""
    document = gate.ask("/v1/answers/R1?by=route,model").document
    assert {row["model"] for row in document["rows"]} == {"other"}
    assert any("tidegate manifest put" in note for note in document["notes"])


def test_status_counts_what_was_applied(gate: RunningGate) -> None:
    """The follower says that it follows and how many reports it applied; the metrics say the same."""
    follower = gate.ask("/v1/status", "operator").document["follower"]
    assert (follower["state"], follower["applied"], follower["duplicates"], follower["parked"]) == (
        "following",
        DEVICES,
        0,
        0,
    )
    metrics = gate.metrics()
    assert metrics['tidegate_follower_reports_total{result="applied"}'] == DEVICES
    assert metrics['tidegate_follower_state{state="following"}'] == 1
    assert metrics["tidegate_publication_age_seconds"] >= 0


def test_readiness_says_both(gate: RunningGate) -> None:
    """The gate decides whether the process is ready; the answers' state is said beside it and at a path of its own."""
    ready = gate.get("/readyz")
    assert (ready.status, ready.document["status"], ready.document["answers"]["state"]) == (200, "ready", "following")
    answers = gate.get("/readyz/answers")
    assert (answers.status, answers.document["status"]) == (200, "ready")


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/R1", "/v1/status"])
def test_a_device_may_not_read(gate: RunningGate, path: str) -> None:
    """A device's token opens no answer, and neither does none."""
    device = gate.get(path, {"authorization": f"Bearer {gate.tokens['managed']}"})
    assert (device.status, device.document["reason"]) == (403, "role_not_allowed")
    assert (gate.get(path).status, gate.get(path).document["reason"]) == (401, "no_token")


def test_a_reader_may_not_post(gate: RunningGate) -> None:
    """The token of a role posts no report to any tier."""
    for tier in gate.catalogue.tiers:
        answer = gate.post(tier, "route_window", b"", token=gate.roles["analyst"])
        assert (answer.status, answer.document["reason"]) == (403, "token_kind_not_accepted")


@pytest.mark.parametrize("role", ["analyst", "auditor"])
def test_only_an_operator_publishes(gate: RunningGate, role: Role) -> None:
    """A role that only asks is refused a publication."""
    headers = {"authorization": f"Bearer {gate.roles[role]}"}
    answer = gate.request("POST", "/v1/publications", b"", headers)
    assert (answer.status, answer.document["reason"]) == (403, "role_not_allowed")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"include_open": "yes"}', id="no flag"),
        pytest.param(b'{"include_opne": true}', id="misspelt"),
        pytest.param(b'{"include_open": true' + b" " * 2000 + b"}", id="too long"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_a_publication_that_is_not_understood(gate: RunningGate, body: bytes) -> None:
    """A body that is not understood publishes nothing and is not repeated."""
    headers = {"authorization": f"Bearer {gate.roles['operator']}"}
    before = gate.ask("/v1/status", "operator").document["publication"]
    answer = gate.request("POST", "/v1/publications", body, headers)
    assert (answer.status, answer.document["reason"]) == (400, "bad_publication")
    assert gate.ask("/v1/status", "operator").document["publication"] == before


def test_a_publication_of_what_is_over(gate: RunningGate) -> None:
    """A publication without the open hour is answered by what it did, one with nothing to do by the one before."""
    headers = {"authorization": f"Bearer {gate.roles['operator']}"}
    answers = [gate.request("POST", "/v1/publications", b"", headers) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].document["number"] > 0
    assert answers[1].document == answers[0].document
    assert gate.ask("/v1/status").document["publication"] == answers[0].document


def test_a_name_of_the_manifest_is_kept(tmp_path: Path) -> None:
    """A name of a manifest that was put while the gate runs is kept from then on, and can be asked for."""
    manifest = tmp_path / "manifest.toml"
    names = f'regions = ["eu-west"]\nsites = []\nmirrors = []\n[[models]]\nname = "{MODEL}"\n'
    manifest.write_text(names + 'versions = [{version = "2.1"}]\n', encoding="utf-8")
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers"), **BOTH) as gate:
        put_manifest(manifest, gate.data)
        eventually(lambda: any(line["manifest"] == 1 for line in gate.events("manifest_in_force")), "it is in force")
        post_all(gate)
        assert gate.publish().status == 200
        document = gate.ask("/v1/answers/R1?by=route,model").document
    assert {(row["route"], row["model"]): row["tasks"] for row in document["rows"]} == {
        (route, MODEL): tasks for route, tasks in EXPECTED.items()
    }


def put_manifest(file: Path, data: Path) -> None:
    """`tidegate manifest put`."""
    manifest_group.main(["put", str(file), "--data", str(data)], standalone_mode=False)


def test_every_line_on_stderr_is_ours(tmp_path: Path) -> None:
    """With DuckDB and Arrow in the process stderr holds JSON lines alone, to the end of the process."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers"), **BOTH) as gate:
        post_all(gate)
        assert gate.publish().status == 200
        assert {gate.ask(R1, accept=media_type).status for media_type in FORMATS} == {200}
        assert gate.stop() == 0
    events = [json.loads(line)["event"] for line in gate.stderr.splitlines()]
    assert {"gate_ready", "answers_ready", "published", "answers_stopped"} <= set(events)
    assert events[-1] == "gate_stopped"


def test_what_is_over_is_published_by_itself(tmp_path: Path) -> None:
    """Without anybody asking, an hour that is over by the log's own time is published on schedule."""
    settings: dict[str, Any] = {"publish_every_seconds": 0.2, "settle_seconds": 0}
    tiers, data = tier_files(tmp_path / "tiers"), tmp_path / "data"
    # What is published stays, and fewer than k devices more change nothing: all of them have posted before.
    with running_gate(tmp_path / "ingest", tiers=tiers, data=data) as taking:
        post_all(taking)
    with running_gate(tmp_path / "answers", tiers=tiers, data=data, only="answers", **settings) as gate:
        rows = eventually(lambda: gate.ask(R1).document["rows"], "the hour before this one is published")
        assert tasks_by_route(rows) == EXPECTED


def test_two_processes_on_one_directory(tmp_path: Path) -> None:
    """One process takes reports and another one answers from the same directory, and each says what it does not do."""
    tiers = tier_files(tmp_path / "tiers")
    with (
        running_gate(tmp_path / "ingest", tiers=tiers, data=tmp_path / "data") as taking,
        running_gate(tmp_path / "answers", tiers=tiers, data=tmp_path / "data", only="answers", **SPLIT) as answering,
    ):
        elsewhere = taking.get("/v1/answers/R1")
        assert (elsewhere.status, elsewhere.document["reason"]) == (404, "answers_elsewhere")
        assert "--only answers" in elsewhere.document["title"]
        posted = answering.request("POST", "/t/managed/v1/reports/route_window", b"x", {})
        assert (posted.status, posted.document["reason"]) == (404, "not_found")
        post_all(taking)
        assert answering.publish().status == 200
        assert tasks_by_route(answering.ask(R1).document["rows"]) == EXPECTED
        eventually(lambda: answering.get("/readyz").status == 200, "the answers are ready")
        assert answering.get("/readyz").document["state"] == "following"
        assert taking.get("/readyz").document == {"status": "ready"}
        assert "tidegate_gate_ready" not in answering.metrics()
        assert "tidegate_follower_lag" not in taking.metrics()
        assert taking.ready.keys() == {"event", "url", "tiers"}
        assert answering.ready.keys() == {"event", "url", "answers"}
        assert (answering.stop(), taking.stop()) == (0, 0)


def test_answers_go_by_the_policies_as_they_are_now(tmp_path: Path) -> None:
    """A tier that asks for more devices than there are is obeyed after SIGHUP in a process that only answers, too."""
    tiers = tier_files(tmp_path / "tiers")
    with (
        running_gate(tmp_path / "ingest", tiers=tiers, data=tmp_path / "data") as taking,
        running_gate(tmp_path / "answers", tiers=tiers, data=tmp_path / "data", only="answers", **SPLIT) as answering,
    ):
        change_tier(tiers / "managed.toml", k=str(DEVICES + 1))
        change_tier(tiers / "byod.toml", k=str(DEVICES + 1))
        answering.reload()
        post_all(taking)
        assert answering.publish().status == 200
        document = answering.ask(R1).document
    assert (document["rows"], document["withheld"]["cells"]) == ([], len(TASKS))


def test_answers_wait_for_their_log(tmp_path: Path) -> None:
    """A process that only answers may start before there is a log: it says so, and goes on by itself."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path / "answers", tiers=tiers, data=tmp_path / "data", only="answers", **SPLIT) as answering:
        waiting = eventually(
            lambda: (found := answering.get("/readyz").document)["why"] and found, "it says what it waits for"
        )
        assert (waiting["status"], waiting["why"]) == ("not ready", "log_unavailable")
        with running_gate(tmp_path / "ingest", tiers=tiers, data=tmp_path / "data") as taking:
            post_all(taking)
            eventually(lambda: answering.get("/readyz").status == 200, "the answers are ready")
            assert answering.publish().status == 200
            assert tasks_by_route(answering.ask(R1).document["rows"]) == EXPECTED


def test_a_second_process_that_answers(tmp_path: Path) -> None:
    """Rollups that another process has open are refused at the start, with what to do."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers, **BOTH):
        code, said = refused_start(tmp_path, tiers=tiers, only="answers")
    assert code == 1
    assert "another process" in said
    assert "Traceback" not in said
