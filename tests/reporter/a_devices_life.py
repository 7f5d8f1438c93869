"""A device whose application plants values wherever it can, and everything that can be seen of it while it lives.

What it writes is looked at again and again, for what is deleted in time is on the disk all the same for a while.
"""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket
from typing import Any

from reporter.agent.command import main
from reporter.directory import Directory
from tests.end_to_end.planted import Plants
from tests.reporter.agent.setting import ROOT, Place
from tests.reporter.otel.made_spans import PLANTED as IN_SPANS
from tests.reporter.otel.test_receiver import a_request, a_span
from tests.reporter.planted_application import slots
from tests.running_gate import PATIENCE_SECONDS

VERSION = "907131.513212"
"""The beginning of the agent's version, which is said even where no policy is known."""

SITE = "north-wing-5b09c4"
"""Said under a consent only."""

SETTINGS = "settings.json"
LOOSE = 0
"""A umask that takes no right from anybody."""


def values(plants: Plants) -> dict[str, str]:
    """What the application says in each of its places; no manifest could have any of it for a name."""
    said = {slot: f"{plants.word(slot)}, {slot}" for slot in slots()}
    words = {slot: said[slot].partition(",")[0] for slot in ("token", "identifiers.device_id")}
    version = {"device.agent_version": f"{VERSION}.7-{plants.word('suffix of a version')}"}
    return {**said, **words, **version, "device.site": SITE}


class Life:
    """One device in `folder`. `places` is all that was seen so far, `modes` the rights on its files at each look."""

    def __init__(self, folder: Path, plants: Plants) -> None:
        self.place = Place(folder)
        self.plants = plants
        self.values = values(plants)
        self.places: dict[str, bytes] = {}
        self.modes: dict[str, dict[str, int]] = {}
        plants.values |= {f"span {number}": text for number, text in enumerate(IN_SPANS)}

    @property
    def directory(self) -> Directory:
        return self.place.directory

    def look(self, when: str) -> None:
        """Every byte below the directory, and every name, but for the settings."""
        parts: list[bytes] = []
        modes: dict[str, int] = {}
        for file in (self.place.path, *sorted(self.place.path.rglob("*"))):
            # A journal of SQLite's is gone when its transaction has ended.
            with suppress(FileNotFoundError):
                content = b"" if _is_apart(file) else file.read_bytes()
                modes[file.name] = stat.S_IMODE(file.lstat().st_mode)
                parts += [file.name.encode(), content]
        self.places[f"disk {when}"] = b"\n".join(parts)
        self.modes[when] = modes

    def type(self, name: str, *words: str) -> None:
        """A command of the agent; what it printed is a place."""
        printed = StringIO()
        before = os.umask(LOOSE)
        with redirect_stdout(printed), redirect_stderr(printed):
            code = main([*words, "--directory", str(self.place.path)])
        os.umask(before)
        self.places[f"output of {name}"] = f"{code}\n{printed.getvalue()}".encode()

    @contextmanager
    def application(self, name: str) -> Iterator["Application"]:
        """An application of this device; what it printed is a place."""
        command = [sys.executable, "-m", "tests.reporter.planted_application"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        environment = self.place.environment
        with subprocess.Popen(command, env=environment, cwd=ROOT, umask=LOOSE, text=True, **pipes) as process:
            running = Application(process, self.values)
            try:
                yield running
                running.end()
            finally:
                process.kill()
        self.places[f"output of {name}"] = "".join(running.said).encode()

    def send_to(self, agent: Path) -> None:
        """Datagrams that are none of a reporter's, or only look like it."""
        word = self.plants.word
        task = {"kind": "task", "at_ms": 1, "session": word("session of a datagram")}
        said = {word("name in a datagram"): word("value in a datagram"), "model": f"{word('model')}, x"}
        with socket(AF_UNIX, SOCK_DGRAM) as sending:
            for datagram in (
                word("no JSON").encode(),
                json.dumps({"ask": word("question")}).encode(),
                json.dumps({**task, "said": said, "disclosures": [word("disclosure of a datagram")]}).encode(),
                json.dumps({"kind": word("kind"), "at_ms": 1, "said": {}}).encode(),
            ):
                sending.sendto(datagram, str(agent))

    def send_spans(self, port: int) -> None:
        """Spans with prompts, names and hosts in everything that they have, and requests that are refused."""
        word = self.plants.word
        named = {name: {"stringValue": f"{word(name)}, {name}"} for name in SPANS_SAY}
        attributes = [{"key": name, "value": value} for name, value in named.items()]
        operation = {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}
        more: dict[str, Any] = {
            "attributes": [operation, *attributes],
            "status": {"code": 2, "message": word("status of a span")},
        }
        event = {"timeUnixNano": "1", "name": word("event"), "attributes": attributes}
        resource = {
            "service__name": word("service"),
            "host__name": word("host"),
            "user__id": word("user of a resource"),
        }
        whole = a_request(a_span(1), a_span(2, **more), a_span(3, events=[event], name=word("name")), **resource)
        json_type = {"Content-Type": "application/json"}
        answers = b"".join(
            post(port, path, content, headers)
            for path, content, headers in (
                ("/v1/traces", whole, {**json_type, "user-agent": word("user agent")}),
                ("/v1/traces", b'{"' + word("broken JSON").encode(), json_type),
                ("/v1/traces", whole, {**json_type, "Content-Encoding": "gzip"}),
                ("/v1/traces", word("no Protobuf").encode(), {"Content-Type": "application/x-protobuf"}),
                ("/v1/traces", whole, {"Content-Type": f"text/{word('content type')}"}),
                ("/v1/traces", whole, {**json_type, "Origin": f"https://{word('origin')}.example"}),
                (f"/{word('path')}", whole, json_type),
            )
        )
        self.places["answers to spans"] = answers


SPANS_SAY = (
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.provider.name", "gen_ai.request.model",
    "gen_ai.response.model", "gen_ai.conversation.id", "gen_ai.tool.name", "server.address", "user.id", "error.type",
    "tidegate.data_class", "tidegate.task_kind", "tidegate.planned_route", "tidegate.model", "tidegate.model_version",
    "tidegate.served_region", "tidegate.policy_version", "tidegate.fallback_reason",
)  # fmt: skip


class Application:
    """The application, which does what it is told; `said` is what it printed."""

    def __init__(self, process: "subprocess.Popen[str]", planted: Mapping[str, str]) -> None:
        self._process = process
        self.said: list[str] = []
        self._tell(planted)

    def do(self, action: str, *arguments: object) -> None:
        """Have it do something, and wait until it has; an action that ends it is waited for as well."""
        self._tell([action, *arguments])
        for line in self._output():
            self.said.append(line)
            if line == "done\n":
                return

    def end(self) -> None:
        """It ends in peace, if it has not yet; what it says at last is heard."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            self._process.stdin.close()
        self.said += self._output()
        self._process.wait(PATIENCE_SECONDS)

    def _tell(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(what)}\n")
        self._process.stdin.flush()

    def _output(self) -> Iterator[str]:
        assert self._process.stdout is not None
        return iter(self._process.stdout)


def post(port: int, path: str, content: bytes, headers: Mapping[str, str]) -> bytes:
    """Status, head and body of an answer of the receiver."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", path, content, dict(headers))
        answer = connection.getresponse()
        return b"%d\n%b\n%b\n" % (answer.status, str(answer.headers).encode(), answer.read())
    finally:
        connection.close()


def _is_apart(file: Path) -> bool:
    return file.name == SETTINGS or not file.is_file()
