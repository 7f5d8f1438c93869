"""How the metrics (`ingest.telemetry.metric_list`) are read: Prometheus text always, OTLP when the environment asks.

Rules held here:

* requests are counted in the account (`ingest.telemetry.account`) and read here at collection. `Histogram.record` of
  the SDK was measured at 6.2 µs with its attributes at hand, a bucket array at 0.2 µs: histograms are kept as arrays as
  well, and handed to the SDK's readers as finished points;
* the readers collect from their own threads, so what they call must be quick and must not raise.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
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

from ingest.telemetry.account import Buckets
from ingest.telemetry.metric_list import POLICY_RELOADS, Instrument, Metric
from ingest.telemetry.otlp import flush, gate_resource, otlp_asked
from ingest.telemetry.process_numbers import ProcessNumbers
from ingest.telemetry.sources import HistogramRows, Read, Row, Source

PROMETHEUS_CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

MAX_SERIES = 50_000
"""Far above what the closed label sets allow; the SDK's own limit of 2,000 would merge remarks into one series."""


class ReloadResult(Enum):
    """How an attempt to reload the policies ended."""

    APPLIED = "applied"
    REFUSED = "refused"


class Metrics:
    """A process's meter provider with its readers; there is one per process and none of it is global."""

    def __init__(self, *sources: Source, gate_id: str) -> None:
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
        _register(meter, POLICY_RELOADS, self._reload_totals)
        for source in (*sources, ProcessNumbers()):
            for metric, read in source.reads().items():
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

    def _reload_totals(self) -> Iterable[Row]:
        return [(result.value, count) for result, count in self._reloads.items()]

    def _histograms(self) -> tuple[MetricStream, ...]:
        return tuple(self._histogram(metric, rows) for source in self._sources for metric, rows in source.histograms())

    def _histogram(self, metric: Metric, rows: HistogramRows) -> MetricStream:
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
