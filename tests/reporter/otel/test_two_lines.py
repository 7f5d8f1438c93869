"""An application that is instrumented already, from its spans to what a gate stores, with everything real between."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from reporter.clock import SystemClock
from reporter.directory import VARIABLE
from reporter.otel.handler import PATH
from reporter.otel.processor import TidegateSpanProcessor
from reporter.otel.receiver import Receiver
from reporter.otel.table import Table
from reporter.reporter import Reporter
from tests.reporter.otel.made_spans import CHAT, PLANTED
from tests.running_gate import RunningGate, running_gate, tier_files

REQUESTS = 40
FLUSH_SECONDS = 20.0
TOPIC = "tidegate.managed.route_window."


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """One gate for all of these."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


def two_lines(provider: TracerProvider, reporter: Reporter) -> Callable[[], None]:
    """What an application adds to itself."""
    provider.add_span_processor(TidegateSpanProcessor(reporter))  # type: ignore[arg-type]  # duck-typed on purpose
    return lambda: None


def an_exporter(provider: TracerProvider, reporter: Reporter) -> Callable[[], None]:
    """What an application is told by OTEL_EXPORTER_OTLP_ENDPOINT, and an agent beside it."""
    receiver = Receiver(reporter, Table(), clock=SystemClock(), port=0)
    receiver.start()
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{receiver.port}{PATH}")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return receiver.close


@pytest.mark.parametrize("connect", [two_lines, an_exporter])
def test_spans_become_rows_and_stay_on_the_device(
    gate: RunningGate,
    tmp_path: Path,
    connect: Callable[[TracerProvider, Reporter], Callable[[], None]],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every request arrives in a row, and no word of a prompt, an answer or a person is on any disk or in any line."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "device"))
    before = tasks_at(gate)
    reporter = Reporter(f"{gate.url}/t/managed", gate.tokens["managed"])
    provider = TracerProvider()
    close = connect(provider, reporter)
    ask(provider)
    provider.shutdown()
    assert reporter.flush(FLUSH_SECONDS)
    close()
    reporter.close()
    assert tasks_at(gate) - before == REQUESTS
    places = [*(tmp_path / "device").rglob("*"), *gate.folder.rglob("*")]
    read = {path: path.read_bytes() for path in places if path.is_file()}
    assert any(path.name == "queue.db" for path in read)
    assert not [path.name for path, content in read.items() if any(word.encode() in content for word in PLANTED)]
    assert not any(word in text for text in capfd.readouterr() for word in PLANTED)


def ask(provider: TracerProvider) -> None:
    """Requests with everything on their spans that instrumentations can be told to put there."""
    start = provider.get_tracer(PLANTED[4]).start_as_current_span
    content: dict[str, Any] = {
        "gen_ai.input.messages": PLANTED[0], "gen_ai.output.messages": PLANTED[1], "user.id": PLANTED[2],
        "gen_ai.conversation.id": PLANTED[3], "tidegate.notes": PLANTED[0],
    }  # fmt: skip
    for _ in range(REQUESTS):
        with start(PLANTED[0], attributes={**CHAT, **content}) as span:
            span.add_event(PLANTED[1], {"gen_ai.prompt": PLANTED[0]})


def tasks_at(gate: RunningGate) -> int:
    """The tasks in all rows that the gate has stored."""
    stored = [gate.decoded(entry) for entry in gate.entries() if entry.topic.startswith(TOPIC)]
    return sum(row["tasks"] for report in stored for row in report["rows"])
