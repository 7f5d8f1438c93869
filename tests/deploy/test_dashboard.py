"""The dashboard: it asks for what exists, says in which unit, and has a place for everything that an alarm is about."""

import json
import os
from importlib import import_module
from itertools import combinations, pairwise
from typing import Any

import pytest
import yaml

from tests.deploy.compose_file import DEPLOY, bind_sources, services, settings
from tests.deploy.expressions import DASHBOARD, RULES, dashboard_expressions, panels, wanted, wrong

PROVISIONING = DEPLOY / "grafana" / "provisioning"
SOURCE = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))
PROVIDER = yaml.safe_load((PROVISIONING / "dashboards" / "tidegate.yaml").read_text(encoding="utf-8"))
PANELS = [pytest.param(panel, id=panel["title"]) for panel in panels()]

NOT_TYPED_BY_THE_SDK = {"titleFormat", "definition"}
"""Keys that Grafana writes itself and its SDK has no name for."""


@pytest.mark.parametrize("expression", dashboard_expressions())
def test_expression_asks_for_what_there_is(expression: str) -> None:
    """Every metric, label and value of a label in an expression of the dashboard exists."""
    assert wrong(expression) == []


@pytest.mark.parametrize("panel", PANELS)
def test_panel_can_be_read(panel: dict[str, Any]) -> None:
    """A panel has a title, a sentence about it, a unit, and a source that is provisioned."""
    [source] = SOURCE["datasources"]
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["datasource"]["uid"] == source["uid"] for target in [panel, *panel["targets"]])


def test_units_fit_the_metrics() -> None:
    """Seconds are shown as seconds, bytes as bytes, whatever a panel is about."""
    for panel in panels():
        unit = panel["fieldConfig"]["defaults"].get("unit", "")
        metrics = {one.metric for target in panel["targets"] for one in wanted(target["expr"])}
        if any(name.endswith(("_seconds", "_seconds_bucket")) for name in metrics):
            assert unit == "s", panel["title"]
        if any("_bytes" in name for name in metrics):
            assert unit in ("bytes", "Bps"), panel["title"]


def test_panels_do_not_cover_each_other() -> None:
    """No two panels share a place, none reaches beyond the 24 columns, and each has a number of its own."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not any(_overlap(one, other) for one, other in combinations(places, 2))
    numbers = sorted(panel["id"] for panel in DASHBOARD["panels"])
    assert all(one < other for one, other in pairwise(numbers))


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_whatever_an_alarm_is_about_can_be_looked_at() -> None:
    """Every metric of an alarm is on the dashboard; whether a target answers is on Prometheus' own page."""
    shown = {one.metric for expression in dashboard_expressions() for one in wanted(expression)}
    asked = {one.metric for rule in RULES for one in wanted(rule["expr"])}
    assert asked - shown == {"up"}


def test_grafana_finds_what_it_is_given() -> None:
    """The data source is the service that the compose file names, and the dashboard lies where Grafana looks."""
    found = services()
    [source] = SOURCE["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert set(found["grafana"]["networks"]) & set(found["prometheus"]["networks"])
    [provider] = PROVIDER["providers"]
    seen = bind_sources(found["grafana"])
    assert seen[provider["options"]["path"]] == DEPLOY / "grafana" / "dashboards"
    assert seen["/etc/grafana/provisioning"] == PROVISIONING
    home = settings(found["grafana"])["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/tidegate.json"


def test_grafanas_own_types_have_a_place_for_everything() -> None:
    """Read into the types of Grafana's SDK and written again, the dashboard has lost nothing."""
    if not os.environ.get("CI"):
        pytest.importorskip("grafana_foundation_sdk", reason="PyPI: grafana-foundation-sdk")
    sdk = "grafana_foundation_sdk"
    import_module(f"{sdk}.cog.plugins").register_default_plugins()
    dashboard = import_module(f"{sdk}.models.dashboard").Dashboard.from_json(DASHBOARD)
    again = json.loads(import_module(f"{sdk}.cog.encoder").JSONEncoder().encode(dashboard))
    assert _lost(DASHBOARD, again) <= NOT_TYPED_BY_THE_SDK


def _lost(before: Any, after: Any) -> set[str]:
    """The keys under which something is gone or different."""
    if isinstance(before, dict):
        gone = {key for key in before if key not in after}
        return gone.union(*(_keyed(key, before[key], after[key]) for key in before if key in after))
    if isinstance(before, list):
        assert len(before) == len(after)
        return set[str]().union(*(_lost(one, other) for one, other in zip(before, after, strict=True)))
    return set() if before == after else {repr(before)}


def _keyed(key: str, before: Any, after: Any) -> set[str]:
    return _lost(before, after) if isinstance(before, (dict, list)) else ({key} if before != after else set())
