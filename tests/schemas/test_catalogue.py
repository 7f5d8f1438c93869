"""All contracts in force together."""

from pathlib import Path

import pytest

from schemas.catalogue import TIERS_DIRECTORY, load_catalogue, load_plans
from schemas.errors import ContractError, nearest
from tests.schemas.contract_copies import Copy

CATALOGUE = load_catalogue()


def test_there_is_a_plan_for_each_report_that_a_tier_takes() -> None:
    """Plans are found by tier and fingerprint, for the reports of the tier's list and no others."""
    expected = {
        (tier.name, CATALOGUE.latest[report].fingerprint)
        for tier in CATALOGUE.tiers.values()
        for report in tier.reports
    }
    assert set(CATALOGUE.plans) == expected
    assert all(
        (plan.tier.name, plan.schema.fingerprint) == place and plan.tier is CATALOGUE.tiers[place[0]]
        for place, plan in CATALOGUE.plans.items()
    )


def test_hostnames_lead_to_their_tier() -> None:
    """Each hostname of a policy is found."""
    assert CATALOGUE.hostnames == {f"{name}.tidegate.localhost": name for name in ("managed", "byod", "contractor")}


def test_a_second_version_stands_beside_the_first(tmp_path: Path) -> None:
    """Devices of both versions are understood, each with a plan; new JSON is written under the newest."""
    contracts = Copy(tmp_path)
    first = contracts.reports / "health_window.v1.avsc"
    text = first.read_text(encoding="utf-8").replace("tidegate.health_window.v1", "tidegate.health_window.v2")
    (contracts.reports / "health_window.v2.avsc").write_text(text, encoding="utf-8")
    (contracts.reports / "health_window.v10.avsc").write_text(text.replace("window.v2", "window.v10"), encoding="utf-8")
    catalogue = load_catalogue(reports=contracts.reports, tiers=contracts.tiers)
    assert catalogue.latest["health_window"].version == 10
    versions = [schema for schema in catalogue.schemas if schema.name == "health_window"]
    assert sorted(schema.version for schema in versions) == [1, 2, 10]
    topics = {catalogue.plans["byod", schema.fingerprint].topic for schema in versions}
    assert topics == {f"tidegate.byod.health_window.v{number}" for number in (1, 2, 10)}


def test_a_tier_of_the_operator_needs_no_code(tmp_path: Path) -> None:
    """A new policy file is a new tier."""
    contracts = Copy(tmp_path)
    text = (contracts.tiers / "byod.toml").read_text(encoding="utf-8")
    for old, new in (('"byod"', '"lab-devices"'), ("byod.tidegate", "lab.tidegate")):
        text = text.replace(old, new)
    (contracts.tiers / "lab-devices.toml").write_text(text, encoding="utf-8")
    catalogue = load_catalogue(reports=contracts.reports, tiers=contracts.tiers)
    assert catalogue.hostnames["lab.tidegate.localhost"] == "lab-devices"
    assert len([place for place in catalogue.plans if place[0] == "lab-devices"]) == 9


@pytest.mark.parametrize("which", ["reports", "tiers"])
def test_an_empty_directory_is_refused(tmp_path: Path, which: str) -> None:
    """A directory without contracts is a wrong directory, not a gate without rules."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ContractError) as error:
        load_catalogue(reports=empty) if which == "reports" else load_catalogue(tiers=empty)
    [finding] = error.value.findings
    assert (finding.file, finding.line) == (str(empty), 0)
    assert "name the directory" in finding.fix


def test_a_broken_file_stops_the_whole(tmp_path: Path) -> None:
    """A catalogue is loaded whole or not at all, and a file that cannot be read does not hide what is wrong with
    another.
    """
    contracts = Copy(tmp_path)
    contracts.change("reports/health_window.v1.avsc", "{", "[")
    contracts.change("tiers/byod.toml", "k = 10", "k = 0")
    names = {Path(finding.file).name for finding in contracts.findings()}
    assert {"health_window.v1.avsc", "byod.toml"} <= names


def test_the_plans_of_one_policy(tmp_path: Path) -> None:
    """A policy is compiled by itself whatever its file is called, and refused by itself if a rule cannot be applied."""
    file = tmp_path / "draft of managed.toml"
    text = (TIERS_DIRECTORY / "managed.toml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    plans = load_plans(file)
    shipped = {plan.schema.label: plan for (tier, _), plan in CATALOGUE.plans.items() if tier == "managed"}
    assert {label: plan.fingerprint for label, plan in plans.items()} == {
        label: plan.fingerprint for label, plan in shipped.items()
    }
    file.write_text(text.replace('fields = ["hardware_tier"]', 'fields = ["hardware_teir"]'), encoding="utf-8")
    with pytest.raises(ContractError, match="hardware_tier"):
        load_plans(file)


def test_findings_are_sentences_with_a_place() -> None:
    """A finding reads file, line, what is wrong, and what mends it."""
    with pytest.raises(ContractError) as error:
        load_catalogue(tiers=Path("nowhere"))
    assert str(error.value) == "nowhere: no *.toml file there\n  fix: name the directory that holds them"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("regoin", "did you mean region?"), ("xyz", "known: region, site"), ("sites", "did you mean site?")],
)
def test_nearest(name: str, expected: str) -> None:
    """The nearest known name is offered, or all of them where none is near."""
    assert nearest(name, ["site", "region"]) == expected


def test_a_broken_policy_is_told_once(tmp_path: Path) -> None:
    """A policy that cannot be read is one finding, and not another one in each stricter tier that refers to it."""
    contracts = Copy(tmp_path)
    contracts.change("tiers/byod.toml", "k = 10", "k = ")
    assert [Path(finding.file).name for finding in contracts.findings()] == ["byod.toml"]
