"""`tidegate policy`: every decision is shown in every form, whole, and explained."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.http.policy_document import policy_document
from schemas.catalogue import TIERS_DIRECTORY, load_catalogue
from schemas.matrix import COLUMNS, matrix
from tidegate.cli import main

CATALOGUE = load_catalogue()
WIDTHS = ["80", "131", "132", "240"]


def policy(*arguments: str) -> Result:
    """Run `tidegate policy`."""
    return CliRunner().invoke(main, ["policy", *arguments])


def words(result: Result) -> str:
    """What was printed, with every run of blanks and line ends as one blank."""
    return " ".join(result.stdout.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tier", sorted(CATALOGUE.tiers))
def test_show_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch, tier: str, width: str) -> None:
    """On a page of any width every field of a tier and every word of every reason are there."""
    monkeypatch.setenv("COLUMNS", width)
    result = policy("show", tier)
    assert result.exit_code == 0
    printed = set(result.stdout.replace(",", " ").split())
    for row in matrix(CATALOGUE):
        if row.tier == tier:
            assert row.field in printed
            assert set(row.why.replace(",", " ").split()) <= printed
    assert max(map(len, result.stdout.splitlines())) <= int(width)


def test_show_begins_with_the_limits() -> None:
    """The facts of the tier come first: version, why, k, horizon, what is refused from when."""
    tier = CATALOGUE.tiers["contractor"]
    printed = words(policy("show", "contractor"))
    assert printed.startswith(f"contractor, policy version {tier.version} {tier.why}")
    for part in (f"{tier.k} devices", f"{tier.horizon_days} days back", "stricter than byod", "user_email from "):
        assert part in printed


@pytest.mark.parametrize(
    ("tasks", "told"),
    [pytest.param(1, "at least 1 task;", id="one"), pytest.param(5, "at least 5 tasks;", id="several")],
)
def test_limits_count_in_words(tmp_path: Path, tasks: int, told: str) -> None:
    """A row of one task is not told of in the plural."""
    folder = shutil.copytree(TIERS_DIRECTORY, tmp_path / "tiers")
    file = folder / "managed.toml"
    text = file.read_text("utf-8")
    assert "min_tasks_per_row = 1\n" in text
    file.write_text(text.replace("min_tasks_per_row = 1\n", f"min_tasks_per_row = {tasks}\n"), "utf-8")
    assert told in words(policy("show", "managed", "--tiers", str(folder)))


@pytest.mark.parametrize(
    ("residency", "told"),
    [
        pytest.param('"*" = ["*"]', "any region, stored anywhere", id="no limit"),
        pytest.param(
            'eu = ["eu-a", "eu-b"]\n"*" = ["*"]',
            "eu, stored in eu-a or eu-b; any other region, or none, stored anywhere",
            id="one region is bound",
        ),
        pytest.param('eu = ["eu-a"]\n"*" = []', "any other region, or none, stored nowhere", id="the rest is refused"),
    ],
)
def test_residency_in_words(tmp_path: Path, residency: str, told: str) -> None:
    """Where regions may be stored is a sentence without asterisks."""
    folder = shutil.copytree(TIERS_DIRECTORY, tmp_path / "tiers")
    file = folder / "managed.toml"
    text = file.read_text("utf-8")
    assert '"*" = ["*"]\n' in text
    file.write_text(text.replace('"*" = ["*"]\n', f"{residency}\n"), "utf-8")
    assert told in words(policy("show", "managed", "--tiers", str(folder)))


def test_show_as_json_is_what_the_gate_publishes() -> None:
    """--json is the document of GET /v1/policy."""
    document = json.loads(policy("show", "byod", "--json").stdout)
    assert document == json.loads(json.dumps(policy_document(CATALOGUE, CATALOGUE.tiers["byod"])))


def test_json_and_csv_have_every_row() -> None:
    """JSON and CSV have the same rows as the matrix, one for each tier, report and field, stricter tiers later."""
    order = ["managed", "byod", "contractor"]
    rows = sorted((row.as_dict() for row in matrix(CATALOGUE)), key=lambda row: order.index(row["tier"]))
    assert json.loads(policy("matrix", "--format", "json").stdout) == rows
    read = list(csv.DictReader(io.StringIO(policy("matrix", "--format", "csv").stdout, newline="")))
    assert read == [{name: str(row.get(name, "")) for name in COLUMNS} for row in rows]


def test_csv_ends_its_lines_as_rfc_4180_says() -> None:
    """Lines of CSV end with CR LF, and the first one names the columns."""
    printed = policy("matrix", "--format", "csv", "--report", "health_window").stdout_bytes
    assert printed.startswith(",".join(COLUMNS).encode() + b"\r\n")
    assert printed.count(b"\n") == printed.count(b"\r\n")


def test_markdown_has_every_decision_in_cells() -> None:
    """Every row of a Markdown table has six cells, and every field of the tier is in one."""
    lines = policy("matrix", "--format", "markdown", "--tier", "byod").stdout.splitlines()
    cells = [line.replace("\\|", "").split(" | ") for line in lines if line.startswith("| `")]
    assert {len(row) for row in cells} == {6}
    assert {row[0].strip("| `") for row in cells} == {row.field for row in matrix(CATALOGUE) if row.tier == "byod"}


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_matrix_can_be_narrowed(form: str) -> None:
    """With --tier and --report no other tier and no other report is told of."""
    printed = policy("matrix", "--tier", "contractor", "--report", "route_window", "--format", form).stdout
    assert "contractor" in printed
    assert "route_window.v1" in printed
    assert "managed, policy" not in printed
    assert "fallback_window" not in printed


def test_report_that_the_tier_does_not_take() -> None:
    """Narrowing to a pair without a plan is wrong usage, not an empty table."""
    result = policy("matrix", "--tier", "contractor", "--report", "health_window")
    assert result.exit_code == 2
    assert "tier contractor does not take health_window.v1" in result.stderr


def test_explain_sets_a_tier_beside_the_others() -> None:
    """The tier asked for comes first, then what the others do, each with action, reason and refusal."""
    printed = words(policy("explain", "byod", "user_email"))
    positions = [printed.index(f"{tier}, policy version") for tier in ("byod", "managed", "contractor")]
    assert positions == sorted(positions)
    for tier in CATALOGUE.tiers.values():
        for entry in tier.refuse_if_present:
            if entry.field == "user_email":
                assert f"refused from {entry.since.isoformat()}. {entry.why}" in printed
    assert "contractor" in printed
    assert "not taken from this tier at all: capability_probe.v1" in printed


def test_explain_a_coarsening_and_a_consent() -> None:
    """How a value is coarsened and which consent it needs are told."""
    printed = words(policy("explain", "byod", "site"))
    assert "how known (of site)" in printed
    assert "only if the device's consent location is given" in printed


@pytest.mark.parametrize(
    ("path", "decided"),
    [
        pytest.param("rows.latency.counts", {"rows.latency"}, id="by what contains it"),
        pytest.param("rows.latency", {"rows.latency"}, id="by a rule of its own"),
    ],
)
def test_explain_finds_the_rule_that_decides(path: str, decided: set[str]) -> None:
    """A field inside a container that is named whole is explained by the container's rule."""
    document = json.loads(policy("explain", "managed", path, "--json").stdout)
    assert {row["field"] for row in document["tiers"]["managed"]} == decided
    assert list(document["tiers"]) == ["managed", "byod", "contractor"]


def test_explain_a_container_that_is_descended_into() -> None:
    """Of a field that holds others every decision inside it is told."""
    document = json.loads(policy("explain", "managed", "rows", "--json").stdout)
    fields = {row["field"] for row in document["tiers"]["managed"]}
    assert {"rows.model", "rows.latency"} <= fields
