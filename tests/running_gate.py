"""A real gate for tests: `tidegate serve` as a process of its own, on a free port, over a fresh data directory.

    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        answer = gate.post("managed", "route_window", message)

Rules held here: nothing is mocked; a gate is stopped by its own process id; whatever has to be waited for is polled
with a deadline; what the process wrote on stdout and stderr is kept in files, so that a test can search all of it.
"""

import asyncio
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import fastavro
import httpx

from ingest.access.tokens import EVERY_TIER, ROLES, Kind, Role, TokenStore
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.clock import SystemClock
from ingest.log.embedded import EmbeddedLogReader
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Entry
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT, OUTCOMES_SCHEMA
from load.server_process import NOTHING_MORE, server_process
from schemas.catalogue import TIERS_DIRECTORY, Catalogue, load_catalogue
from schemas.framing import split
from tidegate.settings import LOG_DIRECTORY

PATIENCE_SECONDS = 30.0
"""How long anything may take before a test gives up: far beyond what it takes on a busy machine of one core."""

ANSWER_SECONDS = 2 * PATIENCE_SECONDS
"""How long a client waits: a publication waits by itself until the log is read."""

STOP_SECONDS = 10.0
"""How long a gate may take to end, by its contract."""

REUSED_SECONDS = 2.0
"""How long a client keeps a connection that is idle. A server closes it after 5 s: less than that, for who is starved
between a look at the connection and a request on it would meet one that is closed."""

DAY_MS = 86_400_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; names of headers are lower case, `raw` is the body as it came."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.raw)


@dataclass(slots=True)
class RunningGate:
    """One gate process that takes requests.

    `ready` is what it said on stdout, `catalogue` what was in its policy files at the start, `tokens` has a good device
    token for every tier, and `roles` one for everybody who may read.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    tiers: Path
    ready: dict[str, Any]
    catalogue: Catalogue = field(repr=False)
    client: httpx.Client = field(repr=False)
    tokens: dict[str, str] = field(repr=False)
    roles: dict[Role, str] = field(repr=False)
    data: Path

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for raw sockets."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    @property
    def stdout(self) -> bytes:
        """Everything that every gate in this folder ever printed."""
        return (self.folder / "stdout").read_bytes()

    @property
    def stderr(self) -> bytes:
        """Every log line of every gate in this folder."""
        return (self.folder / "stderr").read_bytes()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The complete log lines of one event."""
        lines = self.stderr.split(b"\n")[:-1]
        return [line for line in map(json.loads, lines) if line["event"] == name]

    def post(
        self,
        tier: str,
        report: str | None,
        body: bytes,
        *,
        query: str = "",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Post to a tier's endpoint with its token, or another one; Avro unless `headers` say otherwise.

        Without a report it is a batch of any.
        """
        sent = {"authorization": f"Bearer {token or self.tokens[tier]}", "content-type": "application/avro"}
        return self.request("POST", reports_path(tier, report) + query, body, sent | dict(headers or {}))

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, b"", headers or {})

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request by an ordinary client that reads the answer to its end."""
        answer = self.client.request(method, self.url + path, content=body, headers=dict(headers))
        return Answer(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` by its name and labels, as they are printed."""
        lines = self.get("/metrics").raw.decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def ask(self, path: str, role: Role = "analyst", **headers: str) -> Answer:
        """A GET by somebody who may read; a token that was made while the gate runs is known within about a second."""
        return self.get(path, {"authorization": f"Bearer {self.roles[role]}", **headers})

    def publish(self) -> Answer:
        """Have everything that was answered with 202 applied and published, the open hour included."""
        headers = {"authorization": f"Bearer {self.roles['operator']}", "content-type": "application/json"}
        return self.request("POST", "/v1/publications", b'{"include_open": true}', headers)

    def token(self, tier: str, *, kind: Kind = "device", lifetime_ms: int = DAY_MS) -> str:
        """A new token; a gate that runs already knows it within about a second."""
        return issue_token(self.data, tier, kind=kind, lifetime_ms=lifetime_ms)

    def reload(self) -> None:
        """Send SIGHUP and wait until the gate said what became of it."""
        before = self._reloads()
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self._reloads() > before, "the gate answered SIGHUP")

    def _reloads(self) -> float:
        counted = self.metrics()
        return sum(value for name, value in counted.items() if name.startswith("tidegate_gate_policy_reloads_total"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process by `number` and return its exit code; a second call only returns the code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def seconds_to_stop(self) -> float:
        """How long the newest gate took from being told to stop to its last word, by its own clock."""
        began, ended = self.events("gate_stopping")[-1], [*self.events("gate_stopped"), *self.events("stop_given_up")]
        return (max(map(_logged_at, ended)) - _logged_at(began)).total_seconds()

    def entries(self, directory: Path | None = None) -> list[Entry]:
        """`log`, for a test that has no event loop."""
        return asyncio.run(self.log(directory))

    def decoded(self, entry: Entry) -> dict[str, Any]:
        """The value of an entry under the schema whose fingerprint it names, which must fit to the last byte."""
        if entry.topic == SCHEMAS_TOPIC:
            document: dict[str, Any] = json.loads(entry.value)
            return document
        outputs = {plan.output_fingerprint: plan.output_parsed for plan in self.catalogue.plans.values()}
        outputs[OUTCOMES_FINGERPRINT] = fastavro.parse_schema(OUTCOMES_SCHEMA)
        fingerprint, body_at = split(entry.value)
        body = io.BytesIO(entry.value[body_at:])
        value = fastavro.schemaless_reader(body, outputs[fingerprint], None)
        assert isinstance(value, dict)
        assert not body.read(), "bytes are left over behind a value"
        return value

    async def log(self, directory: Path | None = None) -> list[Entry]:
        """Every entry of the log, partition by partition; the gate may be running or gone.

        `directory` is the way to the log where it is not the usual one.
        """
        reader = EmbeddedLogReader(directory or self.data / LOG_DIRECTORY)
        try:
            return [
                stored.entry
                for partition in await reader.partitions()
                for stored in await reader.read(partition, after=-1, limit=1_000_000)
            ]
        finally:
            await reader.close()


def _logged_at(line: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(line["ts"])


def ordinary_client(**settings: Any) -> httpx.Client:
    """An ordinary client, patient enough for every answer."""
    return httpx.Client(timeout=ANSWER_SECONDS, limits=httpx.Limits(keepalive_expiry=REUSED_SECONDS), **settings)


def eventually(condition: Callable[[], T], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """The first true value of `condition`; fails the test where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
    return found


def reports_path(tier: str, report: str | None) -> str:
    """Where reports of a type are posted, or of any."""
    return f"/t/{tier}/v1/reports" if report is None else f"/t/{tier}/v1/reports/{report}"


def issue_token(data: Path, tier: str, *, kind: Kind = "device", lifetime_ms: int = DAY_MS) -> str:
    """A token made by the real store, as `tidegate token new` makes it."""
    with closing(TokenStore(data / TOKENS_FILE, SystemClock())) as store:
        return store.new(tier=tier, kind=kind, label="test", lifetime_ms=lifetime_ms).text


def revoke_token(data: Path, token: str) -> None:
    """Revoke a token by its public id, as `tidegate token revoke` does."""
    with closing(TokenStore(data / TOKENS_FILE, SystemClock())) as store:
        store.revoke(token.split("_")[1])


def tier_files(folder: Path) -> Path:
    """A copy of the policy files that ship, whose announced refusals are moved out of the way of today's date.

    A contractor's refusals are in force already, the others' not yet, whatever year it is when the tests run.
    """
    shutil.copytree(TIERS_DIRECTORY, folder)
    for file in folder.glob("*.toml"):
        since = "2020-01-01" if file.stem == "contractor" else "9999-01-01"
        edit(file, r"(?m)^since = .*$", f"since = {since}")
    return folder


def change_tier(file: Path, **settings: str) -> None:
    """Give settings of a policy file other values, written as TOML; one that the file does not have fails the test."""
    for name, value in settings.items():
        edit(file, rf"(?m)^{re.escape(name)} = .*$", f"{name} = {value}")


def copy_tier(source: Path, name: str, **settings: str) -> Path:
    """A further tier that differs from `source` in its name, its hostname and the settings given."""
    file = source.with_name(f"{name}.toml")
    shutil.copyfile(source, file)
    change_tier(file, tier=f'"{name}"', hostnames=f'["{name}.tidegate.localhost"]', **settings)
    return file


def edit(file: Path, pattern: str, replacement: str) -> None:
    """Replace every match of `pattern`; none fails the test, for it would go on with what it meant to change."""
    text, changes = re.subn(pattern, lambda _: replacement, file.read_text(encoding="utf-8"))
    assert changes, f"{file.name} has nothing like {pattern}"
    file.write_text(text, encoding="utf-8")


def serve_command(folder: Path, tiers: Path, settings: Mapping[str, object]) -> list[str]:
    """The command line of a gate; settings by the names of their flags, with underscores. None leaves a flag away.

    Alone, unless `only` says otherwise: most tests ask for no answers, and need not wait for DuckDB.
    """
    flags = {"data": folder / "data", "port": 0, "tiers": tiers, "only": "ingest", **settings}
    named = [
        part
        for name, value in flags.items()
        if value is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    return [sys.executable, "-m", "tidegate", "serve", *named]


def refused_start(folder: Path, *, tiers: Path, **settings: object) -> tuple[int, str]:
    """Exit code and stderr of a gate that must not start; it may say nothing on stdout."""
    done = subprocess.run(
        serve_command(folder, tiers, settings), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert not done.stdout, "the gate said on stdout that it is ready"
    return done.returncode, done.stderr


@contextmanager
def running_gate(
    folder: Path,
    *,
    tiers: Path,
    wrapper: Sequence[str] = (),
    environment: Mapping[str, str] = NOTHING_MORE,
    **settings: object,
) -> Iterator[RunningGate]:
    """Start a gate and wait until it takes requests; what is left of it is killed with the block.

    A token for every tier and role is made before the start, so that the gate knows them from its first request on.
    `wrapper` is put before the command.
    """
    data = Path(str(settings.get("data", folder / "data")))
    catalogue = load_catalogue(tiers=tiers)
    tokens = {tier: issue_token(data, tier) for tier in catalogue.tiers}
    roles = {role: issue_token(data, EVERY_TIER, kind=role) for role in ROLES}
    folder.mkdir(parents=True, exist_ok=True)
    command = [*wrapper, *serve_command(folder, tiers, settings)]
    output = {"stdout": folder / "stdout", "stderr": folder / "stderr"}
    with (
        server_process(command, **output, environment=environment, patience=0) as server,
        closing(ordinary_client()) as client,
    ):
        yield RunningGate(server.process, folder, tiers, server.ready(), catalogue, client, tokens, roles, data)
