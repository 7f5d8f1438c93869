"""All contracts in force together: every report schema, every tier, and the plan of each allowed pair.

A catalogue is loaded whole or not at all, never changes, and is replaced by another one when the policies are reloaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from schemas.errors import ContractError, Finding, refuse
from schemas.lint import contract_findings, policy_findings
from schemas.plan import Plan, compile_plan
from schemas.report_schema import ReportSchema, load_report_schema
from schemas.tier import Tier, load_tier

REPORTS_DIRECTORY = Path(__file__).parent / "reports"
TIERS_DIRECTORY = Path(__file__).parent / "tiers"

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Report schemas (every version), tiers by name, and plans by (tier, message fingerprint)."""

    schemas: tuple[ReportSchema, ...]
    tiers: Mapping[str, Tier]
    plans: Mapping[tuple[str, bytes], Plan]

    @cached_property
    def by_fingerprint(self) -> dict[bytes, ReportSchema]:
        """Every version of every report by the 8 bytes that follow the single-object marker."""
        return {schema.fingerprint: schema for schema in self.schemas}

    @cached_property
    def latest(self) -> dict[str, ReportSchema]:
        """The newest version of each report, by report name."""
        return {schema.name: schema for schema in sorted(self.schemas, key=lambda schema: schema.version)}

    @cached_property
    def hostnames(self) -> dict[str, str]:
        """Which tier a hostname belongs to; names are lower case."""
        return {hostname: tier.name for tier in self.tiers.values() for hostname in tier.hostnames}


def load_catalogue(*, reports: Path = REPORTS_DIRECTORY, tiers: Path = TIERS_DIRECTORY) -> Catalogue:
    """The catalogue of two directories; raises `ContractError` with everything that is wrong, not the first thing."""
    findings: list[Finding] = []
    schemas = {
        file: schema for file in _files(reports, "*.avsc") if (schema := _try(load_report_schema, file, findings))
    }
    reports_are_readable = not findings
    policy_files = _files(tiers, "*.toml")
    policies = {file: tier for file in policy_files if (tier := _try(load_tier, file, findings))}
    if reports_are_readable:  # else every policy would be found to name reports and fields that do not exist
        unreadable = {file.stem for file in policy_files if file not in policies}
        findings.extend(contract_findings(schemas, policies, unreadable=unreadable))
    if findings:
        raise ContractError(findings)
    return Catalogue(
        schemas=tuple(schemas.values()),
        tiers={tier.name: tier for tier in policies.values()},
        plans={
            (tier.name, schema.fingerprint): compile_plan(schema, tier)
            for tier in policies.values()
            for schema in schemas.values()
            if schema.name in tier.reports
        },
    )


def load_plans(policy: Path, *, reports: Path = REPORTS_DIRECTORY) -> dict[str, Plan]:
    """The plans of one policy file on its own, by report label; raises `ContractError`.

    For comparing two versions of a policy: the file may have any name, and what is said about other tiers is not
    checked.
    """
    schemas = [load_report_schema(file) for file in _files(reports, "*.avsc")]
    tier = load_tier(policy)
    findings = tuple(policy_findings(policy, tier, schemas))
    if findings:
        raise ContractError(findings)
    return {schema.label: compile_plan(schema, tier) for schema in schemas if schema.name in tier.reports}


def _files(directory: Path, pattern: str) -> list[Path]:
    files = sorted(directory.glob(pattern))
    if not files:
        raise refuse(directory, f"no {pattern} file there", fix="name the directory that holds them")
    return files


def _try(load: Callable[[Path], T], file: Path, findings: list[Finding]) -> T | None:
    try:
        return load(file)
    except ContractError as error:
        findings.extend(error.findings)
        return None
