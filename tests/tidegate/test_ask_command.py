"""`tidegate ask` against a server on the loopback: what it prints where, what it sends, what it refuses."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow.ipc
import pyarrow.parquet
import pytest
import uvicorn
from click.testing import CliRunner, Result

from aggregators.answering.api import answers_router
from ingest.http.service import build_service
from tests.aggregators.published_cells import NOW, Source, empty_source, fill_every_cube
from tidegate.cli import main

PATIENCE_SECONDS = 20.0
WIDE = ("--from", "2026-11-18", "--to", "2026-11-21")


@dataclass
class Served:
    """A server with answers, and its source."""

    url: str
    source: Source


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Every cube of every measure, served."""
    source = empty_source()
    source.said = ["The follower has stopped [red]here[/red]."]
    fill_every_cube(source, [NOW.replace(hour=0) - timedelta(days=1), NOW.replace(hour=0)])
    source.withhold("R1", NOW.replace(hour=0), cube="route", grain="day", cells=1_234, waiting=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(build_service(answers_router(source)), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", source)
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
    source.connection.close()


def ask(served: Served, *arguments: str, role: str = "analyst") -> Result:
    """Run `tidegate ask` with the token of a role."""
    environment = {"TIDEGATE_TOKEN": role, "TIDEGATE_URL": served.url}
    return CliRunner().invoke(main, ["ask", *arguments], env=environment)


def test_a_table(served: Served) -> None:
    """A table says what was asked, up to when it is complete, what was withheld and why it may be wrong."""
    result = ask(served, "R1", "--by", "tier,route", *WIDE)
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0] == "R1  Route distribution"
    assert "range        2026-11-18 00:00 to 2026-11-21 00:00 UTC" in lines
    assert "complete to  2026-11-20 12:00" in lines
    assert "withheld     1,234 cells of too few devices; late data of 1 cell, until more devices are in it" in lines
    assert "note: The follower has stopped [red]here[/red]." in lines
    assert [line.split() for line in lines if line.startswith((" byod", " managed"))] == [
        ["byod", "a", "20", "0.4762"],
        ["byod", "b", "22", "0.5238"],
        ["managed", "a", "20", "0.4762"],
        ["managed", "b", "22", "0.5238"],
    ]


def test_numbers_are_aligned_and_have_units(served: Served) -> None:
    """Numbers end in one column, units stand in the head, and what is not there is a dash."""
    result = ask(served, "R4", "--by", "route", *WIDE)
    [head] = [line for line in result.stdout.splitlines() if "tasks" in line]
    rows = [line for line in result.stdout.splitlines() if line.startswith((" a  ", " b  "))]
    assert "latency_p50 (ms)" in head
    end = head.index("latency_p50 (ms)") + len("latency_p50 (ms)")
    assert all(row[:end].endswith(value) for row, value in zip(rows, ("1.3543", "5.9073"), strict=True))
    assert all(" - " in row for row in rows)


def test_buckets_and_filters_are_asked_for(served: Served) -> None:
    """Options become the question: the document says what was asked."""
    asking = ("R1", "--by", "route", "--by", "tier", "--bucket", "day", "--where", "region=a,b", "--where", "tier=byod")
    result = ask(served, *asking, "--limit", "1", "--format", "json", *WIDE)
    document = json.loads(result.stdout)
    asked = {name: document[name] for name in ("from", "to", "bucket", "by", "filters")}
    assert asked == {
        "from": "2026-11-18T00:00:00Z",
        "to": "2026-11-21T00:00:00Z",
        "bucket": "day",
        "by": ["route", "tier"],
        "filters": {"tier": ["byod"], "region": ["a", "b"]},
    }
    assert len(document["rows"]) == 1
    assert document["next"] is not None


def test_more_rows_than_shown(served: Served) -> None:
    """A table that is not all there is says how to have the rest."""
    result = ask(served, "R1", "--limit", "1", *WIDE)
    assert "There are more than these 1 rows" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        pytest.param(("--last", "7d", "--to", "2026-11-20T09:00Z"), "2026-11-13T09:00:00Z", id="before a time"),
        pytest.param(("--last", "36h", "--to", "2026-11-20"), "2026-11-18T12:00:00Z", id="before a date"),
        pytest.param(("--from", "2026-11-19"), "2026-11-19T00:00:00Z", id="from a date"),
        pytest.param(("--to", "2026-11-20"), "2026-11-17T00:00:00Z", id="three days where nothing is said"),
    ],
)
def test_range(served: Served, arguments: tuple[str, ...], start: str) -> None:
    """--last counts back from the end of the range."""
    document = json.loads(ask(served, "R1", "--format", "json", *arguments).stdout)
    assert document["from"] == start


def test_last_counts_back_from_now(served: Served) -> None:
    """Without an end --last counts back from the end of this hour."""
    served.source.now = time.time_ns() // 1_000_000
    document = json.loads(ask(served, "R1", "--format", "json", "--last", "2h").stdout)
    assert document["from"][11:13] != document["to"][11:13]
    assert "widened" not in " ".join(document["notes"])


def test_files(served: Served, tmp_path: Path) -> None:
    """Each format is written to a file whole, or to stdout, with what belongs beside it on stderr."""
    expected = json.loads(ask(served, "R1", "--format", "json", *WIDE).stdout)["rows"]
    for form in ("csv", "parquet", "arrow", "json"):
        result = ask(served, "R1", "--format", form, "--output", str(tmp_path / f"a.{form}"), *WIDE)
        assert (result.exit_code, result.stdout) == (0, "")
        if form != "json":
            assert "complete to 2026-11-20 12:00, withheld: 1,234 cells" in result.stderr
            assert "note: The follower has stopped" in result.stderr
            assert ask(served, "R1", "--format", form, *WIDE).stdout_bytes == (tmp_path / f"a.{form}").read_bytes()
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist() == expected
    assert pyarrow.ipc.open_stream((tmp_path / "a.arrow").read_bytes()).read_all().to_pylist() == expected
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == expected
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == '"a",40,0.47619047619047616'
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.arrow", "a.csv", "a.json", "a.parquet"]


def test_comparison(served: Served) -> None:
    """A comparison says what it is held against, and what changed."""
    result = ask(served, "R1", "--from", "2026-11-20", "--to", "2026-11-21", "--compare", "previous")
    assert "Moved most in share, against 2026-11-19 00:00 to 2026-11-20 00:00" in result.stdout
    assert "Changed in the two spans, in order of time" in result.stdout
    assert "routing policy, version a" in result.stdout


def test_what_may_be_asked(served: Served) -> None:
    """Without a measure the measures of the token's role are listed, with the combinations of each."""
    shown = ask(served).stdout
    assert "R1" in shown
    assert "route,region,data_class" in shown
    assert "A1" not in shown
    listed = json.loads(ask(served, "--format", "json", role="auditor").stdout)
    assert {"A1", "A3"} <= {one["measure"] for one in listed["measures"]}


def test_a_token_from_a_file(served: Served, tmp_path: Path) -> None:
    """A token file is read without its line end, and beats the variable."""
    (tmp_path / "auditor.txt").write_text("auditor\n")
    assert ask(served, "A1", "--token-file", str(tmp_path / "auditor.txt"), *WIDE).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(("R11",), 2, "There is no measure of that name. did you mean R1?", id="no such measure"),
        pytest.param(("R1", "--by", "regoin"), 2, "did you mean region?", id="no such dimension"),
        pytest.param(("R1", "--by", "region"), 2, "by=route,region", id="no such combination"),
        pytest.param(("R1", "--where", "rout=edge"), 2, "did you mean route?", id="no such filter"),
        pytest.param(("A1",), 1, "`tidegate token new --role auditor`", id="another role"),
        pytest.param(("R1/../A1",), 2, "named like R1", id="a path"),
        pytest.param(("R1", "--where", "edge"), 2, "--where region=eu-west", id="a filter without a value"),
        pytest.param(("R1", "--where", "cursor=AAAA"), 2, "--where region=eu-west", id="a parameter as a filter"),
        pytest.param(("R1", "--last", "3d", "--from", "2026-11-20"), 2, "give one of them", id="two beginnings"),
        pytest.param(("R1", "--last", "3d", "--to", "later"), 2, "write 2026-11-20", id="no time"),
        pytest.param(("R1", "--last", "3 days"), 2, "30m, 12h, 90d", id="no duration"),
        pytest.param(("R1", "--from", "later"), 2, "write 2026-11-20", id="no time for the server either"),
        pytest.param(("R1", "--output", "x"), 2, "--format json, csv", id="a table into a file"),
        pytest.param(("--format", "csv"), 2, "as a table or as JSON", id="a listing as CSV"),
        pytest.param(("R1", "--format", "csv", "--limit", "3"), 2, "other formats have all rows", id="pages of CSV"),
        pytest.param(("R1", "--url", "file:///etc/passwd"), 2, "http://HOST:PORT", id="no URL of a server"),
        pytest.param(("R1", "--token-file", "/nowhere/x"), 2, "cannot be read", id="no such file"),
        pytest.param(("R1", "--format", "csv", "--output", "/nowhere/x"), 1, "cannot be written", id="no such folder"),
    ],
)
def test_refusals(served: Served, arguments: tuple[str, ...], code: int, words: str) -> None:
    """A question that cannot be asked ends with its exit code, what to do on stderr, and nothing on stdout."""
    result = ask(served, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize("token", ["", "  ", "two words", "é", "a\nb"])
def test_what_is_no_token(served: Served, token: str) -> None:
    """Without a token, or with what cannot be one, nothing is sent and the value is not repeated."""
    result = ask(served, "R1", role=token)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "token" in result.stderr
    assert "words" not in result.stderr


def test_a_wrong_token_is_told(served: Served) -> None:
    """A token that the server does not know ends with 1, and is not repeated."""
    result = ask(served, "R1", role="Zq9secret")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The token is not one that this gate knows." in result.stderr
    assert "Zq9" not in result.output


def test_nobody_there() -> None:
    """An address where nothing listens is said to be one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = CliRunner().invoke(main, ["ask", "R1", "--url", f"http://127.0.0.1:{port}"], env={"TIDEGATE_TOKEN": "x"})
    assert result.exit_code == 1
    assert "is `tidegate serve` running there" in result.stderr


class Elsewhere(BaseHTTPRequestHandler):
    """Something that is no Tidegate: it sends to another place, ends too early, or answers in prose."""

    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Authorization"])
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            for name in ("Tidegate-From", "Tidegate-To", "Tidegate-Complete-To"):
                self.send_header(name, "2026-11-20T00:00:00Z")
            self.send_header("Tidegate-Withheld-Cells", "0")
            self.send_header("Tidegate-Withheld-Waiting", "0")
            self.send_header("Tidegate-Notes", "[]")
            self.end_headers()
            self.wfile.write(b"half of it")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        del format, args


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The URL of a server that is no Tidegate."""
    Elsewhere.asked = []
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_redirect_is_not_followed(elsewhere: str) -> None:
    """The token is sent to the place that was named, and to no other that this one names."""
    result = CliRunner().invoke(main, ["ask", "--url", f"{elsewhere}/moved"], env={"TIDEGATE_TOKEN": "secret"})
    assert result.exit_code == 1
    assert Elsewhere.asked == ["Bearer secret"]


def test_an_answer_that_breaks_off_leaves_no_file(elsewhere: str, tmp_path: Path) -> None:
    """Half of an answer is an error, and the file of before stays as it was."""
    file = tmp_path / "a.csv"
    file.write_text("of yesterday")
    arguments = ["ask", "R1", "--url", elsewhere, "--format", "csv", "--output", str(file)]
    result = CliRunner().invoke(main, arguments, env={"TIDEGATE_TOKEN": "secret"})
    assert result.exit_code == 1
    assert file.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [file]
