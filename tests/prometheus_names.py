"""The name under which Prometheus shows a metric."""

from ingest.telemetry.metric_list import Instrument, Metric

UNITS = {"s": "_seconds", "By": "_bytes"}


def shown_as(metric: Metric) -> str:
    """By the rules of OpenTelemetry; samples of a histogram have `_bucket`, `_sum` or `_count` behind it."""
    total = "_total" if metric.instrument is Instrument.COUNTER else ""
    return metric.name.replace(".", "_") + UNITS.get(metric.unit, "") + total
