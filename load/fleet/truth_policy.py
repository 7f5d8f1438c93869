"""What the tier policies do to a value, read plainly from `schemas/tiers/*.toml`.

The gate compiles these files into plans and walks bytes by them. Here they are looked up as they stand: one rule for
one field of one report, and what its action makes of a value. No code is shared with the gate.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

TIERS = Path(__file__).parents[2] / "schemas" / "tiers"

HOUR_MS = 3_600_000

MINUTE_MS = 60_000

OTHER = "other"

DROP: Mapping[str, Any] = {"action": "drop"}
"""What a field meets that no rule names, or that is kept under a consent that was not given."""

PSEUDONYM = "a pseudonym"
"""Stands for what a pseudonym reads; the truth has no key and needs none."""

Names = Mapping[str, Collection[str]]
"""The manifest's names by kind: model, model_version, digest, region, site, mirror."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One tier's file. `rules` maps (report, path) and (None, path) to the rule as the file has it."""

    tier: str
    k: int
    version: int
    window_ms: int
    min_tasks_per_row: int
    rules: Mapping[tuple[str | None, str], Mapping[str, Any]] = field(repr=False)

    def rule(self, report: str, path: str) -> Mapping[str, Any] | None:
        """The rule that names this field of this report; None if none does."""
        return self.rules.get((report, path), self.rules.get((None, path)))

    def governing(self, report: str, path: str) -> Mapping[str, Any]:
        """The rule that decides over a field: its own, or that of a container that it is in."""
        while (rule := self.rule(report, path)) is None and "." in path:
            path = path.rpartition(".")[0]
        return rule or DROP


def after(rule: Mapping[str, Any], value: Any, names: Names) -> Any:
    """What a rule leaves of a value; None stays None, and None means that nothing is left."""
    action = rule["action"]
    if action == "keep":
        return value
    if value is None or action == "drop":
        return None
    return PSEUDONYM if action == "pseudonymise" else coarse(rule, value, names)


def under(rule: Mapping[str, Any], consents: Collection[str]) -> Mapping[str, Any]:
    """What a rule comes to for a person who gave these consents."""
    asked = rule.get("consent")
    return rule if asked is None or asked in consents else DROP


def coarse(rule: Mapping[str, Any], value: Any, names: Names) -> Any:  # noqa: PLR0911  # one line for each way
    """The value, coarsened as the rule says."""
    match rule["by"]:
        case "floor_hour":
            return value - value % HOUR_MS
        case "ceil_hour":
            return value + -value % HOUR_MS
        case "bucket":
            return max([bound for bound in rule["bounds"] if bound <= value] or [rule["bounds"][0]])
        case "allowed":
            return value if value in rule["allowed"] else OTHER
        case "known":
            return value if value in names.get(rule["of"], ()) else OTHER
        case "version":
            return leading_numbers(value, rule["parts"])
    return network(value, rule)


@cache
def leading_numbers(text: str, parts: int) -> str:
    """The first numbers of a dotted version, without a suffix; `other` for what is no such version."""
    numbers = re.split(r"[-+ ]", text, maxsplit=1)[0].split(".")
    if any(not re.fullmatch("[0-9]{1,6}", number) for number in numbers):
        return OTHER
    return ".".join(numbers[:parts])


def network(text: str, rule: Mapping[str, Any]) -> str:
    """The network that an address lies in."""
    try:
        address = ip_address(text)
    except ValueError:
        return OTHER
    bits = rule["ipv4"] if address.version == 4 else rule["ipv6"]
    return str(ip_network(f"{str(address).partition('%')[0]}/{bits}", strict=False).network_address)


@cache
def policies(directory: Path = TIERS) -> Mapping[str, Policy]:
    """The policies of a directory by tier."""
    return {path.stem: _policy(tomllib.loads(path.read_text())) for path in sorted(directory.glob("*.toml"))}


def _policy(document: Mapping[str, Any]) -> Policy:
    rules = {
        (report, path): rule
        for rule in document["rule"]
        for report in rule.get("reports") or (None,)
        for path in rule["fields"]
    }
    return Policy(
        tier=document["tier"],
        k=document["k"],
        version=document["version"],
        window_ms=document["window_minutes"] * MINUTE_MS,
        min_tasks_per_row=document["min_tasks_per_row"],
        rules=rules,
    )


def manifest_names(manifest: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The names that a manifest knows, by kind. A version is known whichever model it belongs to."""
    models = manifest.get("models", ())
    listed = [version for model in models for version in model.get("versions", ())]
    elsewhere = [wanted["version"] for model in models for wanted in model.get("wanted", ())]
    revoked = [version for model in models for version in model.get("revoked", ())]
    return {
        "model": frozenset(model["name"] for model in models),
        "model_version": frozenset([version["version"] for version in listed] + elsewhere + revoked),
        "digest": frozenset(version["digest"] for version in listed if version.get("digest")),
        "region": frozenset(manifest.get("regions", ())),
        "site": frozenset(manifest.get("sites", ())),
        "mirror": frozenset(manifest.get("mirrors", ())),
    }
