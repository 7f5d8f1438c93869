"""Every metric of the gate, and how it is read: Prometheus text always, OTLP when the environment asks.

Rules held here:

* a metric is a `Metric` below, with name, unit, labels and meaning; docs/metrics.md lists the same (held by a test);
* every label comes from a closed set: tiers, reports and fields from the catalogue, outcomes from `Reason`;
* requests are counted in the account (`ingest.telemetry.account`) and read here at collection. `Histogram.record` of
  the SDK was measured at 6.2 µs with its attributes at hand, a bucket array at 0.2 µs: histograms are kept as arrays as
  well, and handed to the SDK's readers as finished points;
* the readers collect from their own threads, so what they call must be quick and must not raise.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.export import Metric as MetricStream
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ingest.telemetry.account import RECEIVED, Account, Buckets
from ingest.telemetry.otlp import flush, gate_resource, otlp_asked

PROMETHEUS_CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

MAX_SERIES = 50_000
"""Far above what the closed label sets allow; the SDK's own limit of 2,000 would merge remarks into one series."""


class Instrument(Enum):
    """What kind of OpenTelemetry instrument a metric is."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up-down counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class ReloadResult(Enum):
    """How an attempt to reload the policies ended."""

    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; the unit is UCUM as OpenTelemetry uses it."""

    name: str
    instrument: Instrument
    unit: str
    labels: tuple[str, ...]
    description: str


RECEIVED_REPORTS = Metric(
    "tidegate.gate.received",
    Instrument.COUNTER,
    "{report}",
    ("tier",),
    "Reports counted at the door, before any of them was looked at.",
)
REPORTS = Metric(
    "tidegate.gate.reports",
    Instrument.COUNTER,
    "{report}",
    ("tier", "outcome"),
    "Reports whose outcome was decided: accepted, or the reason why not.",
)
CHECKED = Metric(
    "tidegate.gate.checked",
    Instrument.COUNTER,
    "{report}",
    ("tier",),
    "Reports posted with ?check=1; they are in neither of the two counts above.",
)
REMARKS = Metric(
    "tidegate.gate.remarks",
    Instrument.COUNTER,
    "{value}",
    ("tier", "report", "field", "action"),
    "Values of a schema field that were dropped, coarsened or pseudonymised.",
)
REQUEST_DURATION = Metric(
    "tidegate.gate.request.duration",
    Instrument.HISTOGRAM,
    "s",
    ("tier", "status_class"),
    "Time from the head of a request to the end of its answer.",
)
REQUEST_BODY_SIZE = Metric(
    "tidegate.gate.request.body.size",
    Instrument.HISTOGRAM,
    "By",
    ("tier", "status_class"),
    "Body of a request as it came over the wire, before decompression.",
)
ACTIVE_REQUESTS = Metric(
    "tidegate.gate.active_requests",
    Instrument.UP_DOWN_COUNTER,
    "{request}",
    ("tier",),
    "Requests under way.",
)
LOG_ENTRIES = Metric(
    "tidegate.gate.log.entries",
    Instrument.COUNTER,
    "{entry}",
    (),
    "Entries that the log made durable.",
)
LOG_COMMITS = Metric(
    "tidegate.gate.log.commits",
    Instrument.COUNTER,
    "{commit}",
    (),
    "Commits of the log; entries divided by commits is how well requests share one.",
)
READY = Metric(
    "tidegate.gate.ready",
    Instrument.GAUGE,
    "1",
    (),
    "1 while /readyz says ready, else 0.",
)
POLICY_VERSION = Metric(
    "tidegate.gate.policy.version",
    Instrument.GAUGE,
    "1",
    ("tier",),
    "Version of the tier's policy in force.",
)
POLICY_RELOADS = Metric(
    "tidegate.gate.policy.reloads",
    Instrument.COUNTER,
    "{reload}",
    ("result",),
    "Attempts to reload the policies: applied, or refused with the old ones still in force.",
)

METRICS: tuple[Metric, ...] = (
    RECEIVED_REPORTS,
    REPORTS,
    CHECKED,
    REMARKS,
    REQUEST_DURATION,
    REQUEST_BODY_SIZE,
    ACTIVE_REQUESTS,
    LOG_ENTRIES,
    LOG_COMMITS,
    READY,
    POLICY_VERSION,
    POLICY_RELOADS,
)

Row = tuple[Any, ...]
"""The values of a metric's labels, in their order, then the number."""

Read = Callable[[], Iterable[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the numbers come from; each is called whenever somebody collects, from that one's thread."""

    account: Account
    active_requests: Callable[[], Mapping[str, int]]
    log_entries: Callable[[], int]
    log_commits: Callable[[], int]
    ready: Callable[[], bool]
    policy_versions: Callable[[], Mapping[str, int]]


class Metrics:
    """The gate's meter provider with its readers; there is one per process and none of it is global."""

    def __init__(self, sources: Sources, *, gate_id: str) -> None:
        self._sources = sources
        self._started_ns = time.time_ns()
        self._reloads = dict.fromkeys(ReloadResult, 0)
        self._scrape = threading.Lock()
        self._registry = CollectorRegistry()
        readers: list[MetricReader] = [_PrometheusReader(self._histograms, self._registry)]
        if otlp_asked("METRICS"):
            readers.append(_OtlpReader(self._histograms))
        self._provider = MeterProvider(
            readers,
            resource=gate_resource(gate_id),
            exemplar_filter=AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter("tidegate.gate")
        for metric, read in self._reads().items():
            _register(meter, metric, read)

    def prometheus_text(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4; takes some milliseconds, so call it off the event loop."""
        with self._scrape:
            return generate_latest(self._registry)

    def reloaded(self, result: ReloadResult) -> None:
        """Count an attempt to reload the policies."""
        self._reloads[result] += 1

    def shutdown(self) -> None:
        """Send what is left, if OTLP is on, and stop; takes at most `ingest.telemetry.otlp.FLUSH_SECONDS`."""
        flush(self._provider.shutdown)

    def _reads(self) -> dict[Metric, Read]:
        sources, account = self._sources, self._sources.account
        return {
            RECEIVED_REPORTS: lambda: ((row.tier, row.reports) for row in account.ledger() if row.outcome == RECEIVED),
            REPORTS: lambda: (row for row in account.ledger() if row.outcome != RECEIVED),
            CHECKED: account.checked_totals,
            REMARKS: account.remark_totals,
            ACTIVE_REQUESTS: lambda: self._per_tier(sources.active_requests()),
            LOG_ENTRIES: lambda: [(sources.log_entries(),)],
            LOG_COMMITS: lambda: [(sources.log_commits(),)],
            READY: lambda: [(int(sources.ready()),)],
            POLICY_VERSION: lambda: self._per_tier(sources.policy_versions()),
            POLICY_RELOADS: lambda: [(result.value, count) for result, count in self._reloads.items()],
        }

    def _per_tier(self, numbers: Mapping[str, int]) -> Iterator[Row]:
        label = self._sources.account.tier_label
        return ((tier, number) for tier, number in dict(numbers).items() if label(tier) == tier)

    def _histograms(self) -> tuple[MetricStream, ...]:
        account = self._sources.account
        return (
            self._histogram(REQUEST_DURATION, account.durations()),
            self._histogram(REQUEST_BODY_SIZE, account.bodies()),
        )

    def _histogram(self, metric: Metric, rows: Iterable[tuple[str, str, Buckets]]) -> MetricStream:
        points = [self._point(dict(zip(metric.labels, labels, strict=True)), buckets) for *labels, buckets in rows]
        data = Histogram(data_points=points, aggregation_temporality=AggregationTemporality.CUMULATIVE)
        return MetricStream(name=metric.name, description=metric.description, unit=metric.unit, data=data)

    def _point(self, labels: dict[str, str], buckets: Buckets) -> HistogramDataPoint:
        counts = list(buckets.counts)
        return HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=self._started_ns,
            time_unix_nano=time.time_ns(),
            count=sum(counts),
            sum=buckets.total,
            bucket_counts=counts,
            explicit_bounds=buckets.bounds,
            min=None,  # type: ignore[arg-type]  # optional in OTLP, and not kept
            max=None,  # type: ignore[arg-type]
        )


def _register(meter: Meter, metric: Metric, read: Read) -> None:
    def observe(_options: CallbackOptions) -> Iterator[Observation]:
        return (Observation(value, dict(zip(metric.labels, labels, strict=True))) for *labels, value in read())

    create = {
        Instrument.COUNTER: meter.create_observable_counter,
        Instrument.UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Instrument.GAUGE: meter.create_observable_gauge,
    }[metric.instrument]
    create(metric.name, callbacks=[observe], unit=metric.unit, description=metric.description)


Histograms = Callable[[], tuple[MetricStream, ...]]


def _joined(data: MetricsData, histograms: Histograms) -> MetricsData:
    """The metrics that the SDK collected, with the histograms that it did not record beside them."""
    of_gate = data.resource_metrics[0]
    scope = of_gate.scope_metrics[0]
    together = replace(scope, metrics=[*scope.metrics, *(stream for stream in histograms() if stream.data.data_points)])
    return replace(data, resource_metrics=[replace(of_gate, scope_metrics=[together])])


class _PrometheusReader(PrometheusMetricReader):
    """Collects when it is scraped; no labels beyond the metric's own."""

    def __init__(self, histograms: Histograms, registry: CollectorRegistry) -> None:
        self._histograms = histograms
        super().__init__(
            scope_info_enabled=False, registry=registry, cardinality_limits={ObservableCounter: MAX_SERIES}
        )

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(_joined(metrics_data, self._histograms), timeout_millis, **kwargs)


class _OtlpReader(PeriodicExportingMetricReader):
    """Collects every OTEL_METRIC_EXPORT_INTERVAL and posts to the endpoint of the OTEL_* variables."""

    def __init__(self, histograms: Histograms) -> None:
        self._histograms = histograms
        super().__init__(OTLPMetricExporter(), cardinality_limits={ObservableCounter: MAX_SERIES})

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(_joined(metrics_data, self._histograms), timeout_millis, **kwargs)
