"""Each alarm evaluated by Prometheus' own engine: it comes where it should, and not where all is well.

One file of `promtool test rules` holds every case; the series are written in promtool's notation, one sample a minute:
`0+6x30` begins with 0 and adds 6 thirty times, `1x30` is 1 throughout.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.compose_file import DEPLOY
from tests.deploy.expressions import RULES
from tests.deploy.programs import promtool

GATE = 'job="gate", instance="a:8080"'
OTHER_GATE = 'job="gate", instance="b:8080"'
ANSWERS = 'job="answers", instance="c:8081"'

Series = Mapping[str, str]


def bucket(le: str) -> str:
    """The series of accepted requests that were answered within so many seconds."""
    return f'tidegate_gate_request_duration_seconds_bucket{{{GATE}, tier="managed", status_class="2xx", le="{le}"}}'


WELL: Series = {
    f"up{{{GATE}}}": "1x180",
    f"up{{{ANSWERS}}}": "1x180",
    f"tidegate_gate_ready{{{GATE}}}": "1x180",
    f'tidegate_gate_received_total{{{GATE}, tier="managed"}}': "0+600x180",
    f'tidegate_gate_reports_total{{{GATE}, tier="managed", outcome="accepted"}}': "0+590x180",
    f'tidegate_gate_reports_total{{{GATE}, tier="managed", outcome="truncated"}}': "0+10x180",
    f'tidegate_gate_active_requests{{{GATE}, tier="managed"}}': "0x180",
    bucket("0.1"): "0+600x180",
    bucket("2.5"): "0+600x180",
    bucket("+Inf"): "0+600x180",
    f'tidegate_gate_policy_version{{{GATE}, tier="managed"}}': "3x180",
    f'tidegate_gate_policy_reloads_total{{{GATE}, result="refused"}}': "0x180",
    f"tidegate_follower_lag{{{ANSWERS}}}": "20x180",
    f'tidegate_follower_reports_total{{{ANSWERS}, result="applied"}}': "0+590x180",
    f'tidegate_follower_reports_total{{{ANSWERS}, result="parked"}}': "0x180",
    f'tidegate_follower_state{{{ANSWERS}, state="following"}}': "1x180",
    f'tidegate_follower_state{{{ANSWERS}, state="catching_up"}}': "0x180",
    f'tidegate_follower_state{{{ANSWERS}, state="stopped"}}': "0x180",
    f'tidegate_follower_state{{{ANSWERS}, state="storage_full"}}': "0x180",
    f'tidegate_follower_why{{{ANSWERS}, why="log_unavailable"}}': "0x180",
    f'tidegate_follower_why{{{ANSWERS}, why="history_gone"}}': "0x180",
    f"tidegate_publication_age_seconds{{{ANSWERS}}}": "3900x180",
    f"process_uptime_seconds{{{GATE}}}": "1000+60x180",
    f"process_uptime_seconds{{{ANSWERS}}}": "1000+60x180",
    f"process_memory_usage_bytes{{{GATE}}}": "90000000x180",
    f"process_memory_usage_bytes{{{ANSWERS}}}": "400000000x180",
    f"process_cpu_time_seconds_total{{{GATE}}}": "0+20x180",
    f"process_cpu_time_seconds_total{{{ANSWERS}}}": "0+20x180",
}
"""Three hours of one gate and the answers, busy and without any trouble."""


@dataclass(frozen=True, slots=True)
class Case:
    """What differs from three good hours (None: the series is not there), and the alarm that then fires at the end."""

    alarm: str
    changed: Mapping[str, str | None]


def refused(outcome: str) -> str:
    """The series of reports that met an outcome."""
    return f'tidegate_gate_reports_total{{{GATE}, tier="managed", outcome="{outcome}"}}'


def counted(outcome: str, values: str) -> dict[str, str]:
    """Further reports that got this outcome; they were counted at the door as well."""
    return {refused(outcome): values, f'tidegate_gate_received_total{{{GATE}, tier="none"}}': values}


def follower(metric: str, label: str) -> str:
    """A series of the follower."""
    return f"tidegate_follower_{metric}{{{ANSWERS}, {label}}}"


UP, ANSWERS_UP = f"up{{{GATE}}}", f"up{{{ANSWERS}}}"
VERSION = 'tidegate_gate_policy_version{{{}, tier="managed"}}'

CASES = [
    Case("NoGate", {UP: None}),
    Case("NoGate", {UP: "1x170 0x20"}),
    Case("GateDown", {f"up{{{OTHER_GATE}}}": "1x170 0x20"}),
    Case("GateNotReady", {f"tidegate_gate_ready{{{GATE}}}": "1x170 0x20"}),
    Case("ReportsNotStored", counted("in_doubt", "0x170 1+1x20")),
    Case("ReportsNotStored", counted("storage_full", "0x170 1+1x20")),
    Case("KeyMissing", counted("key_missing", "0x175 1x20")),
    Case("TokensUnreadable", counted("tokens_unreadable", "0x175 1x20")),
    Case("GateFault", counted("internal", "0x175 1x20")),
    Case("ReportsUnaccounted", {refused("truncated"): "0+10x160 1600+9x20"}),
    Case(
        "MostReportsRefused",
        {refused("accepted"): "0+590x130 76800+100x60", refused("truncated"): "0+10x130 1800+500x60"},
    ),
    Case("CredentialsRefused", counted("token_expired", "0+10x180")),
    Case("FieldRefused", counted("field_refused", "0x170 1x20")),
    Case("TierAtItsLimit", counted("rate_exceeded", "0x150 1+5x30")),
    Case("AnswersToDevicesSlow", {bucket("0.1"): "0+590x180"}),
    Case("PolicyReloadRefused", {f'tidegate_gate_policy_reloads_total{{{GATE}, result="refused"}}': "0x170 1x20"}),
    Case("PolicyVersionsDiffer", {VERSION.format(OTHER_GATE): "3x170 4x20"}),
    Case("AnswersDown", {ANSWERS_UP: "1x170 0x20"}),
    Case("FollowerStopped", {follower("state", 'state="stopped"'): "0x170 1x20"}),
    Case("FollowerStorageFull", {follower("state", 'state="storage_full"'): "0x170 1x20"}),
    Case("FollowerCannotReadLog", {follower("why", 'why="log_unavailable"'): "0x170 1x20"}),
    Case("FollowerBehind", {follower("state", 'state="catching_up"'): "0x150 1x30"}),
    Case("FollowerLosesGround", {f"tidegate_follower_lag{{{ANSWERS}}}": "20x100 100000+600x80"}),
    Case("RecordsParked", {follower("reports_total", 'result="parked"'): "0x170 1x20"}),
    Case("NothingPublished", {f"tidegate_publication_age_seconds{{{ANSWERS}}}": "0+60x180"}),
    Case("ProcessRestartsAgainAndAgain", {f"process_uptime_seconds{{{GATE}}}": "1000+60x150 30x40"}),
    Case("GateNearsMemoryLimit", {f"process_memory_usage_bytes{{{GATE}}}": "90000000x170 1900000000x20"}),
    Case("AnswersNearMemoryLimit", {f"process_memory_usage_bytes{{{ANSWERS}}}": "400000000x170 2900000000x20"}),
    Case("GateAtItsCore", {f"process_cpu_time_seconds_total{{{GATE}}}": "0+59x180"}),
]

MEANT_TO_COME_WITH = {"NoGate": {"GateDown"}, "GateNotReady": set[str]()}
"""Alarms that say the same of another side, and may come at once."""

END = "180m"


def test_every_alarm_has_a_case() -> None:
    """No alarm is left out."""
    assert {case.alarm for case in CASES} == {rule["alert"] for rule in RULES}


@pytest.fixture(scope="module")
def firing(tmp_path_factory: pytest.TempPathFactory) -> list[set[str]]:
    """The alarms that fire at the end of each case, and last those of three good hours."""
    folder = tmp_path_factory.mktemp("alarms")
    return [_firing(folder, {**WELL, **case.changed}) for case in [*CASES, Case("none", {})]]


def _firing(folder: Path, series: Mapping[str, str | None]) -> set[str]:
    """What promtool says of the series: it is asked to expect no alarm at all, and names those that it got."""
    names = [rule["alert"] for rule in RULES]
    tests = {
        "rule_files": [str(DEPLOY / "prometheus" / "alerts.yml")],
        "evaluation_interval": "5m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
                "alert_rule_test": [{"eval_time": END, "alertname": name, "exp_alerts": []} for name in names],
            }
        ],
    }
    file = folder / "case.json"  # JSON is YAML
    file.write_text(json.dumps(tests), encoding="utf-8")
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    return set(_named(done.stdout + done.stderr, names))


def _named(said: str, names: list[str]) -> Iterator[str]:
    assert "SUCCESS" in said or "alertname:" in said, said
    for name in names:
        if f"alertname: {name}," in said:
            yield name


def test_no_alarm_comes_while_all_is_well(firing: list[set[str]]) -> None:
    """A busy gate without any trouble sets nothing off."""
    assert firing[-1] == set()


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.alarm for case in CASES])
def test_alarm_comes(firing: list[set[str]], number: int) -> None:
    """In its case the alarm fires, and no other but those that say the same from another side."""
    alarm = CASES[number].alarm
    assert firing[number] - MEANT_TO_COME_WITH.get(alarm, set()) == {alarm}
