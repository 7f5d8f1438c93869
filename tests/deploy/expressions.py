"""PromQL of the alarms and the dashboard: which metrics and labels an expression asks for."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from aggregators.following.standing import State, Why
from ingest.telemetry.account import NO_TIER, OUTCOMES, STATUS_CLASSES
from ingest.telemetry.metric_list import METRICS, Instrument
from ingest.telemetry.metrics import ReloadResult
from schemas.catalogue import load_catalogue
from schemas.plan import Action
from tests.deploy.compose_file import DEPLOY, load
from tests.prometheus_names import shown_as

ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
SCRAPED = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "tidegate.json").read_text(encoding="utf-8"))

RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]

OF_EVERY_TARGET = {"job", "instance"}
"""What Prometheus puts on every sample that it scrapes."""

OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}

MACROS = {"$__rate_interval": "5m", "$__interval": "1m", "$tier": ".*"}
"""What Grafana fills in, and something that it could be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A selector of an expression: the metric, and each label that it is chosen by with the values it may have."""

    metric: str
    labels: tuple[tuple[str, str], ...]


def metric_labels() -> dict[str, set[str]]:
    """Every name under which a sample can be had from Prometheus, with the labels of it."""
    found = dict(OF_PROMETHEUS)
    for metric in METRICS:
        name, labels = shown_as(metric), set(metric.labels)
        if metric.instrument is Instrument.HISTOGRAM:
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return {name: labels | OF_EVERY_TARGET for name, labels in found.items()}


def label_values() -> dict[str, set[str]]:
    """What a label can be; a label that is not here can be anything."""
    catalogue = load_catalogue()
    return {
        "tier": {NO_TIER, *catalogue.tiers},
        "outcome": set(OUTCOMES),
        "report": set(catalogue.latest),
        "action": {action.value for action in Action},
        "status_class": set(STATUS_CLASSES),
        "result": {*(result.value for result in ReloadResult), "applied", "duplicate", "parked"},
        "state": {state.value for state in State},
        "why": {why.value for why in Why},
        "job": {job["job_name"] for job in SCRAPED["scrape_configs"]},
        "alertstate": {"pending", "firing"},
        "severity": {"critical", "warning", "info"},
    }


def filled(expression: str) -> str:
    """An expression of the dashboard, with what Grafana would put into it."""
    for macro, text in MACROS.items():
        expression = expression.replace(macro, text)
    return expression


def wanted(expression: str) -> list[Wanted]:
    """Every selector of an expression; raises ValueError where it is none."""
    return list(_selectors(promql_parser.parse(filled(expression))))


def _selectors(node: Any) -> Iterator[Wanted]:
    if isinstance(node, promql_parser.VectorSelector):
        chosen = ((matcher.name, matcher.value) for matcher in node.matchers.matchers)
        yield Wanted(str(node.name), tuple(chosen))
    for inner in _within(node):
        yield from _selectors(inner)


def _within(node: Any) -> list[Any]:
    """The expressions directly within one."""
    match node:
        case promql_parser.MatrixSelector():
            return [node.vector_selector]
        case promql_parser.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql_parser.Call():
            return list(node.args)
        case promql_parser.VectorSelector() | promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return []
        case _:  # what has one: parentheses, a sign, an aggregation, a subquery
            return [node.expr]


def wrong(expression: str) -> list[str]:
    """What an expression asks for that nothing has."""
    known, values = metric_labels(), label_values()
    found = []
    for one in wanted(expression):
        if one.metric not in known:
            found.append(f"there is no metric {one.metric}")
            continue
        for label, value in one.labels:
            if label not in known[one.metric]:
                found.append(f"{one.metric} has no label {label}")
            elif value != MACROS["$tier"]:
                found += [
                    f"{label} is never {part}" for part in value.split("|") if part not in values.get(label, {part})
                ]
    return found


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, rows aside."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> list[str]:
    """Every expression of the dashboard: of panels, annotations and variables."""
    of_panels = [target["expr"] for panel in panels() for target in panel["targets"]]
    of_annotations = [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    queries = (one["query"]["query"] for one in DASHBOARD["templating"]["list"])
    of_variables = [re.sub(r"^label_values\((.*), (\w+)\)$", r"sum by (\2) (\1)", query) for query in queries]
    return [*of_panels, *of_annotations, *of_variables]


def memory_limit(service: str) -> int:
    """Bytes of memory that the compose file gives a service."""
    text = load()["services"][service]["deploy"]["resources"]["limits"]["memory"]
    return int(text[:-1]) * {"m": 2**20, "g": 2**30}[text[-1]]
