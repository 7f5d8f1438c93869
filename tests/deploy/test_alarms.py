"""The alarms: their expressions ask for what exists, and docs/alarms.md says of each what to do."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingest.telemetry.metric_list import METRICS, Instrument
from tests.deploy.compose_file import DEPLOY, services
from tests.deploy.expressions import RULES, SCRAPED, memory_limit, metric_labels, wanted, wrong
from tests.deploy.programs import promtool
from tests.documents import bare, page
from tests.running_gate import RunningGate, eventually, running_gate, tier_files

ALARMS = page("docs/alarms.md")
COLUMNS = ("alarm", "severity", "what it means", "what to do")
ROWS = [row for rows in ALARMS.tables(*COLUMNS) for row in rows]
RULE_IDS = [pytest.param(rule, id=rule["alert"]) for rule in RULES]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate with its answers, after it was asked something."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers"), only=None) as running:
        eventually(lambda: running.get("/readyz").status == 200, "the gate is ready")
        running.post("managed", "route_window", b"no Avro")
        yield running


@pytest.mark.parametrize("rule", RULE_IDS)
def test_expression_asks_for_what_there_is(rule: dict[str, str]) -> None:
    """Every metric, label and value of a label in an alarm's expression exists."""
    assert wrong(rule["expr"]) == []


WRONG = [
    pytest.param("tidegate_gate_reddy == 0", "no metric tidegate_gate_reddy", id="misspelt metric"),
    pytest.param('tidegate_gate_ready{tier="managed"}', "no label tier", id="label of another metric"),
    pytest.param('rate(tidegate_gate_reports_total{outcome=~"in_doubt|ok"}[5m])', "never ok", id="no such outcome"),
    pytest.param('absent(up{job="gates"} == 1)', "never gates", id="no such job"),
    pytest.param("max(a_total) - -min_over_time((b > 1)[5m:1m])", "metric b", id="deep inside"),
]


@pytest.mark.parametrize(("expression", "said"), WRONG)
def test_a_wrong_expression_is_seen(expression: str, said: str) -> None:
    """An expression that asks for something else is told apart."""
    assert any(said in one for one in wrong(expression))


def test_names_are_those_of_a_running_gate(gate: RunningGate) -> None:
    """What the expressions may ask for is what a running gate with its answers shows, publications aside."""
    shown = {
        sample.name
        for family in text_string_to_metric_families(gate.get("/metrics").raw.decode())
        for sample in family.samples
    }
    asked = {one.metric for rule in RULES for one in wanted(rule["expr"])} - {"up"}
    assert asked - shown == {"tidegate_publication_age_seconds"}
    # And a gate shows nothing that the list of metrics does not have.
    assert shown - {"target_info"} <= set(metric_labels())


def test_jobs_are_services() -> None:
    """Prometheus scrapes services of the compose file, at the ports at which they listen."""
    for job in SCRAPED["scrape_configs"]:
        [source] = job["dns_sd_configs"]
        [name] = source["names"]
        assert str(source["port"]) == services()[name]["environment"]["TIDEGATE_PORT"]
        assert "monitoring" in services()[name]["networks"]


def test_every_alarm_is_documented() -> None:
    """The page has one row for each alarm, in the order of the rules, with its severity."""
    assert [(bare(row["alarm"]), row["severity"]) for row in ROWS] == [
        (rule["alert"], rule["labels"]["severity"]) for rule in RULES
    ]


def test_every_alarm_says_what_to_do() -> None:
    """No row leaves open what an alarm means or what to do, and no alarm is without a summary."""
    assert [row["alarm"] for row in ROWS if len(row["what it means"]) < 20 or len(row["what to do"]) < 20] == []
    assert [rule["alert"] for rule in RULES if not rule["annotations"]["summary"].strip()] == []


def test_severities_are_three() -> None:
    """An alarm is critical, a warning or for information, as the page explains."""
    used = {rule["labels"]["severity"] for rule in RULES}
    assert used == {"critical", "warning", "info"}
    assert {bare(row["severity"]) for row in ALARMS.table("severity", "when to look")} == used


def test_refusals_for_a_trouble_of_our_own_have_an_alarm() -> None:
    """Each outcome that is a trouble of the gate's own is in an alarm's expression."""
    text = "\n".join(rule["expr"] for rule in RULES)
    ours = ("in_doubt", "log_unavailable", "storage_full", "key_missing", "tokens_unreadable", "internal")
    assert [outcome for outcome in ours if not re.search(rf"\b{outcome}\b", text)] == []


@pytest.mark.parametrize(
    ("alarm", "service"), [("GateNearsMemoryLimit", "gate"), ("AnswersNearMemoryLimit", "answers")]
)
def test_memory_alarms_come_before_the_limit(alarm: str, service: str) -> None:
    """A process is said to near its limit at more than three quarters of what the compose file gives it."""
    [rule] = [rule for rule in RULES if rule["alert"] == alarm]
    threshold = float(rule["expr"].rpartition(">")[2])
    assert 0.75 * memory_limit(service) < threshold < 0.95 * memory_limit(service)


def test_a_counter_is_never_compared_as_it_is() -> None:
    """What only rises is looked at as a rate, an increase or a difference."""
    counters = {metric.name for metric in METRICS if metric.instrument is Instrument.COUNTER}
    assert counters
    for rule in RULES:
        if "_total" in rule["expr"]:
            assert re.search(r"rate\(|increase\(| - ", rule["expr"])


def test_promtool_accepts_the_configuration() -> None:
    """Prometheus' own checker takes the configuration and the rules that it names."""
    done = subprocess.run(
        [promtool(), "check", "config", DEPLOY / "prometheus" / "prometheus.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout
