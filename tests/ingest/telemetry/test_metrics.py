"""The metrics: documented, with closed labels, readable by Prometheus, and sent nowhere unless that was asked for."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ingest.problems import Reason
from ingest.report import Remark
from ingest.telemetry import otlp
from ingest.telemetry.account import NO_TIER, OUTCOMES, STATUS_CLASSES, UNKNOWN_FIELD_LABEL, Account
from ingest.telemetry.metric_list import METRICS
from ingest.telemetry.metrics import Metrics, ReloadResult
from ingest.telemetry.sources import Sources
from schemas.catalogue import load_catalogue
from schemas.plan import Action
from tests.ingest.follower_numbers import answers_sources
from tests.ingest.otlp_collector import Collector, collector
from tests.prometheus_names import shown_as

ROOT = Path(__file__).resolve().parents[3]
CATALOGUE = load_catalogue()
GATE = "00112233445566778899aabbccddeeff"
WEIRD = 'canary"\n{tier="managed"} 1'


def sources(account: Account, *, active: Mapping[str, int] | None = None) -> Sources:
    """Sources with a number of its own in each place."""
    return Sources(
        account=account,
        active_requests=lambda: {"managed": 3} if active is None else active,
        log_entries=lambda: 50,
        log_commits=lambda: 7,
        ready=lambda: True,
        policy_versions=lambda: {tier.name: tier.version for tier in CATALOGUE.tiers.values()},
    )


def busy_account() -> Account:
    """An account in which everything that can be counted was counted."""
    account = Account(CATALOGUE)
    account.received("managed", 5)
    account.outcome("managed", "accepted", 3)
    account.outcome("managed", Reason.TRUNCATED.value, 2)
    account.checked("byod", 1)
    account.answered("managed", status=202, seconds=0.004, body_bytes=700)
    account.answered("managed", status=202, seconds=0.2, body_bytes=5000)
    plan = next(plan for plan in CATALOGUE.plans.values() if plan.topic == "tidegate.managed.route_window.v1")
    account.remarks(plan, [Remark(plan.schema.fields["user_email"].id, Action.DROP, 4)])
    return account


@pytest.fixture(autouse=True)
def no_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test without the OTEL_* variables of whoever runs it, and with a stop that waits for a collector."""
    monkeypatch.setattr(otlp, "FLUSH_SECONDS", 60)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """The metrics of a busy account, with a follower beside it."""
    made = Metrics(sources(busy_account()), answers_sources(), gate_id=GATE)
    yield made
    made.shutdown()


def samples(metrics: Metrics) -> list[Sample]:
    """Every sample of the Prometheus text, as the client library's parser reads it."""
    families = text_string_to_metric_families(metrics.prometheus_text().decode())
    return [sample for family in families for sample in family.samples]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """The one sample of that name with exactly these labels."""
    [found] = [sample.value for sample in samples(metrics) if sample.name == name and sample.labels == labels]
    return found


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        pytest.param("tidegate_gate_received_total", {"tier": "managed"}, 5, id="the door"),
        pytest.param("tidegate_gate_reports_total", {"tier": "managed", "outcome": "accepted"}, 3, id="accepted"),
        pytest.param("tidegate_gate_reports_total", {"tier": "managed", "outcome": "truncated"}, 2, id="a reason"),
        pytest.param(
            "tidegate_gate_reports_total", {"tier": "contractor", "outcome": "accepted"}, 0, id="zero is said"
        ),
        pytest.param(
            "tidegate_gate_reports_total", {"tier": "managed", "outcome": "in_doubt"}, 0, id="zero of a reason as well"
        ),
        pytest.param("tidegate_gate_checked_total", {"tier": "byod"}, 1, id="only checked"),
        pytest.param(
            "tidegate_gate_remarks_total",
            {"tier": "managed", "report": "route_window", "field": "user_email", "action": "drop"},
            4,
            id="values taken off",
        ),
        pytest.param("tidegate_gate_active_requests", {"tier": "managed"}, 3, id="under way"),
        pytest.param("tidegate_gate_log_entries_total", {}, 50, id="entries"),
        pytest.param("tidegate_gate_log_commits_total", {}, 7, id="commits"),
        pytest.param("tidegate_gate_ready", {}, 1, id="ready"),
        pytest.param("tidegate_gate_policy_version", {"tier": "byod"}, 1, id="policy version"),
        pytest.param("tidegate_gate_policy_reloads_total", {"result": "refused"}, 0, id="no reload yet"),
        pytest.param(
            "tidegate_gate_request_duration_seconds_bucket",
            {"tier": "managed", "status_class": "2xx", "le": "0.005"},
            1,
            id="a bucket holds what is not above it",
        ),
        pytest.param(
            "tidegate_gate_request_duration_seconds_bucket",
            {"tier": "managed", "status_class": "2xx", "le": "+Inf"},
            2,
            id="the last bucket holds all",
        ),
        pytest.param(
            "tidegate_gate_request_duration_seconds_count",
            {"tier": "managed", "status_class": "2xx"},
            2,
            id="number of requests",
        ),
        pytest.param(
            "tidegate_gate_request_body_size_bytes_sum",
            {"tier": "managed", "status_class": "2xx"},
            5700,
            id="number of bytes",
        ),
    ],
)
def test_prometheus_shows_the_number(metrics: Metrics, name: str, labels: dict[str, str], expected: float) -> None:
    """Each number appears in the Prometheus text under its name and labels."""
    assert value(metrics, name, **labels) == expected


def test_text_follows_the_account() -> None:
    """A scrape shows what was counted up to then, and the next one what came since as well."""
    account = Account(CATALOGUE)
    metrics = Metrics(sources(account), gate_id=GATE)
    account.received("byod", 1)
    assert value(metrics, "tidegate_gate_received_total", tier="byod") == 1
    account.received("byod", 2)
    assert value(metrics, "tidegate_gate_received_total", tier="byod") == 3
    metrics.shutdown()


def test_reloads_are_counted_by_result(metrics: Metrics) -> None:
    """A reload adds one to its result and nothing to the other."""
    metrics.reloaded(ReloadResult.REFUSED)
    assert value(metrics, "tidegate_gate_policy_reloads_total", result="refused") == 1
    assert value(metrics, "tidegate_gate_policy_reloads_total", result="applied") == 0


def test_every_declared_metric_is_shown_and_no_other(metrics: Metrics) -> None:
    """The names in the Prometheus text are those of the declared metrics, beside the description of the gate itself."""
    shown = {re.sub(r"_(bucket|sum|count)$", "", sample.name) for sample in samples(metrics)}
    assert shown == {shown_as(metric) for metric in METRICS} | {"target_info"}


def test_nothing_else_of_the_process_is_shown(metrics: Metrics) -> None:
    """The registry is the gate's own: what other code registers globally is not in the text, nor ours in theirs."""
    names = {sample.name for sample in samples(metrics)}
    assert "python_info" not in names
    assert not {family.name for family in REGISTRY.collect()} & names


def test_docs_list_every_metric_as_declared() -> None:
    """The table in docs/metrics.md has one row for each metric, with kind, unit, labels and meaning, and no other."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count(" | ") == 4]
    declared = [
        f"| `{metric.name}` | {metric.instrument.value} | `{metric.unit}` "
        f"| {', '.join(f'`{label}`' for label in metric.labels) or 'none'} | {metric.description} |"
        for metric in METRICS
    ]
    assert rows == declared


def test_docs_list_every_label() -> None:
    """docs/metrics.md says of each label which values it can have."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", text, flags=re.MULTILINE))
    assert {label for metric in METRICS for label in metric.labels} <= documented


CLOSED_SETS: dict[str, set[str]] = {
    "tier": {NO_TIER, *CATALOGUE.tiers},
    "outcome": set(OUTCOMES),
    "report": set(CATALOGUE.latest),
    "field": {UNKNOWN_FIELD_LABEL} | {path for schema in CATALOGUE.schemas for path in schema.fields},
    "action": {action.value for action in Action},
    "status_class": set(STATUS_CLASSES),
    "result": {result.value for result in ReloadResult},
}


@given(st.text() | st.sampled_from([WEIRD, "", "MANAGED", "\x00", "\ud800"]), st.integers())
def test_no_label_is_made_of_what_was_sent(tier: str, status: int) -> None:
    """Whatever tier a request names and whatever status it gets, each label keeps to its closed set."""
    account = busy_account()
    account.received(tier, 1)
    account.outcome(tier, "accepted", 1)
    account.checked(tier, 1)
    account.answered(tier, status=status, seconds=0.1, body_bytes=1)
    metrics = Metrics(sources(account, active={tier: 1, "managed": 2}), gate_id=GATE)
    for sample in samples(metrics):
        if sample.name != "target_info":
            labels = {label: found for label, found in sample.labels.items() if label != "le"}
            assert all(found in CLOSED_SETS[label] for label, found in labels.items())
    metrics.shutdown()


def test_more_remarks_than_the_default_limit_stay_apart() -> None:
    """Every remark of every plan keeps its labels, though the SDK would merge what is beyond 2,000 series."""
    account = Account(CATALOGUE)
    for plan in CATALOGUE.plans.values():
        fields = plan.schema.fields.values()
        for action in (Action.DROP, Action.COARSEN, Action.PSEUDONYMISE):
            account.remarks(plan, [Remark(field.id, action, 1) for field in fields])
    metrics = Metrics(sources(account), gate_id=GATE)
    remarks = [sample for sample in samples(metrics) if sample.name == "tidegate_gate_remarks_total"]
    assert len(remarks) == len(list(account.remark_totals())) > 2000
    metrics.shutdown()


def test_gate_is_described_without_its_machine(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resource is the service and the gate id: no host, process or user, even if the environment has them."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=box7,service.namespace=fleet,process.owner=alice")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gate-north")
    described = Metrics(sources(busy_account()), gate_id=GATE)
    [info] = [sample.labels for sample in samples(described) if sample.name == "target_info"]
    assert set(info) == {"service_name", "service_namespace", "service_version", "service_instance_id"}
    assert (info["service_name"], info["service_namespace"], info["service_instance_id"]) == (
        "gate-north",
        "fleet",
        GATE,
    )
    [plain] = [sample.labels for sample in samples(metrics) if sample.name == "target_info"]
    assert plain["service_name"] == "tidegate-gate"
    described.shutdown()


def posted(found: Collector) -> dict[str, ExportMetricsServiceRequest]:
    """The metrics requests that arrived, by the last one that holds each metric name."""
    requests = [ExportMetricsServiceRequest.FromString(body) for body in found.bodies("/v1/metrics")]
    return {
        metric.name: request
        for request in requests
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}"}, "/v1/metrics", id="the endpoint of all signals"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "{endpoint}/mine"}, "/mine", id="an endpoint for metrics alone"
        ),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "prometheus,otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}"},
            "/v1/metrics",
            id="otlp in a list of exporters",
        ),
    ],
)
def test_otlp_is_sent_when_the_environment_asks(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], path: str
) -> None:
    """With an endpoint in the standard variables, metrics are posted there, at the latest when the gate stops."""
    with collector() as found:
        for name, text in variables.items():
            monkeypatch.setenv(name, text.format(endpoint=found.endpoint))
        Metrics(sources(busy_account()), gate_id=GATE).shutdown()
        assert len(found.bodies(path)) >= 1


def test_otlp_holds_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is posted decodes to the declared metrics, histograms included, and to the gate's own description."""
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
        metrics = Metrics(sources(busy_account()), answers_sources(), gate_id=GATE)
        found.wait_for(lambda: bool(found.posts))
        metrics.shutdown()
    by_name = posted(found)
    assert set(by_name) == {metric.name for metric in METRICS}
    [resource] = by_name["tidegate.gate.reports"].resource_metrics
    streams = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    points = streams["tidegate.gate.reports"].sum.data_points
    counts = {frozenset((a.key, a.value.string_value) for a in point.attributes): point.as_int for point in points}
    assert counts[frozenset({("tier", "managed"), ("outcome", "truncated")})] == 2
    [duration] = streams["tidegate.gate.request.duration"].histogram.data_points
    assert (duration.count, duration.sum) == (2, pytest.approx(0.204))
    assert sum(duration.bucket_counts) == 2
    assert len(duration.bucket_counts) == len(duration.explicit_bounds) + 1
    assert {attribute.key for attribute in resource.resource.attributes} == {
        "service.name",
        "service.version",
        "service.instance.id",
    }


CONNECTIONS = """
import sys
def see(event, args):
    if event == "socket.connect":
        print("connect", args[1])
sys.addaudithook(see)
from ingest.telemetry import otlp
from ingest.telemetry.account import Account
from ingest.telemetry.metrics import Metrics
from ingest.telemetry.sources import Sources
from ingest.telemetry.tracing import Tracing
from schemas.catalogue import load_catalogue
otlp.FLUSH_SECONDS = 15
catalogue = load_catalogue()
metrics = Metrics(
    Sources(
        account=Account(catalogue), active_requests=dict, log_entries=int, log_commits=int, ready=bool,
        policy_versions=dict,
    ),
    gate_id="00",
)
tracing = Tracing(catalogue, gate_id="00")
with tracing.request_span() as span:
    span.status(202)
print(len(metrics.prometheus_text()) > 0)
metrics.shutdown()
tracing.shutdown()
"""

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("variables", "connects"),
    [
        pytest.param({}, False, id="nothing is asked"),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY},
            False,
            id="none wins over an endpoint",
        ),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_TRACES_EXPORTER": ""}
            | {"OTEL_TRACES_SAMPLER": "always_off"},
            False,
            id="another exporter for metrics, and no span to send",
        ),
        pytest.param({"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, False, id="a variable that asks for nothing"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False, id="an empty endpoint"),
        pytest.param({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}, True, id="asked"),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "always_on", "OTEL_METRICS_EXPORTER": "none"}
            | {"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY},
            True,
            id="asked for traces",
        ),
    ],
)
def test_no_connection_is_tried_unless_asked(variables: dict[str, str], connects: bool) -> None:
    """A whole life of the telemetry opens no socket unless the variables ask for one, and then it does."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", CONNECTIONS],
        cwd=ROOT,
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "True" in done.stdout
    assert ("connect" in done.stdout) is connects


def test_disabled_sdk_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SDK_DISABLED turns metrics off as the specification says, and a scrape gets an empty page, not an error."""
    with collector() as found:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        metrics = Metrics(sources(busy_account()), gate_id=GATE)
        assert metrics.prometheus_text() == b""
        metrics.shutdown()
        assert found.posts == []
