"""What was taken off, told from what devices posted: the truth of A1; and how many reports were posted, that of A3.

Every field of every report that was posted is set against the rule of its tier, as the files in `schemas/` say it. A
value that is there and does not stay as it is counts once: null, an empty list and an empty map are not there, and a
coarsening that changes nothing leaves no trace. Names that an agent made up count one each, under `unknown`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from load.fleet.truth_cells import NONE
from load.fleet.truth_policy import DROP, Names, Policy, after, policies, under

REPORTS = Path(__file__).parents[2] / "schemas" / "reports"

SCHEMA_VERSION = 1

UNKNOWN = "unknown"

CONSENT = "consent_"


class RemarkKey(NamedTuple):
    """What A1 tells apart; `agent_version` is major.minor."""

    tier: str
    report: str
    field: str
    action: str
    schema_version: str
    policy_version: str
    agent_version: str


@dataclass(slots=True)
class Remarks:
    """Values that were not kept as they were, and reports that had any, by what A1 tells apart."""

    values: Counter[RemarkKey] = field(default_factory=Counter)
    reports: Counter[RemarkKey] = field(default_factory=Counter)

    def by(self, dims: Iterable[str]) -> dict[tuple[str, ...], dict[str, int]]:
        """Values and reports by tier and these dimensions."""
        names = ("tier", *dims)
        sums: dict[tuple[str, ...], dict[str, int]] = {}
        for key, number in self.values.items():
            cell = sums.setdefault(tuple(getattr(key, name) for name in names), {"values": 0, "reports": 0})
            cell["values"] += number
            cell["reports"] += self.reports[key]
        return sums


@dataclass(slots=True)
class Receipts:
    """Reports of one tier that were answered with 202: the first of each id, and every further one."""

    stored: int = 0
    duplicates: int = 0


class Leaf(NamedTuple):
    """A field that one rule decides over, and that is not kept as it is whatever it says."""

    name: str
    path: str
    rule: Mapping[str, Any]
    default: Any


class Branch(NamedTuple):
    """A field with records in it that are looked into."""

    name: str
    within: "tuple[Leaf | Branch, ...]"


Shape = tuple[Leaf | Branch, ...]


def remarks_truth(posted: Iterable[tuple[str, str, Mapping[str, Any]]], names: Names) -> Remarks:
    """The remarks on reports (tier, name of the report, fields as posted), each of which was taken once."""
    remarks = Remarks()
    for tier, report, fields in posted:
        policy = policies()[tier]
        found = Counter(_remarks(_shape(policy.tier, report, _consents(fields)), fields, names))
        agent = _agent_version(policy, report, fields, names)
        for (path, action), number in found.items():
            key = RemarkKey(tier, report, path, action, str(SCHEMA_VERSION), str(policy.version), agent)
            remarks.values[key] += number
            remarks.reports[key] += 1
    return remarks


def receipts_truth(posted: Iterable[tuple[str, str, bytes]]) -> dict[str, Receipts]:
    """Receipts by tier, of posts (tier, name of the report, id) that were answered with 202."""
    receipts: dict[str, Receipts] = {}
    seen: set[tuple[str, str, bytes]] = set()
    for post in posted:
        of_tier = receipts.setdefault(post[0], Receipts())
        if post in seen:
            of_tier.duplicates += 1
        else:
            of_tier.stored += 1
        seen.add(post)
    return receipts


def _consents(fields: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name.removeprefix(CONSENT) for name in fields if name.startswith(CONSENT) and fields[name])


def _agent_version(policy: Policy, report: str, fields: Mapping[str, Any], names: Names) -> str:
    stored = after(policy.governing(report, "agent_version"), fields.get("agent_version"), names)
    return NONE if stored is None else re.sub(r"^(\d+\.\d+)\..*$", r"\1", stored)


def _remarks(shape: Shape, values: Mapping[str, Any], names: Names) -> Iterator[tuple[str, str]]:
    """(path, action) of every value that does not stay as it is."""
    for node in shape:
        if isinstance(node, Branch):
            for item in values.get(node.name) or ():
                yield from _remarks(node.within, item, names)
        else:
            yield from _remarks_of_leaf(node, values.get(node.name, node.default), names)


def _remarks_of_leaf(leaf: Leaf, value: Any, names: Names) -> Iterator[tuple[str, str]]:
    if value is None or value in ([], {}):
        return
    action = leaf.rule["action"]
    if after(leaf.rule, value, names) != value:
        yield leaf.path, action
    if action == "drop" and leaf.name == "attributes":
        yield from ((UNKNOWN, "drop") for _ in value)


@cache
def _shape(tier: str, report: str, consents: frozenset[str]) -> Shape:
    """The fields of a report that need looking at in a tier, for a person who gave these consents."""
    document = json.loads((REPORTS / f"{report}.v{SCHEMA_VERSION}.avsc").read_text())
    return tuple(_nodes(document["fields"], "", report=report, policy=policies()[tier], consents=consents))


def _nodes(
    fields: Iterable[Mapping[str, Any]], above: str, *, report: str, policy: Policy, consents: frozenset[str]
) -> Iterator[Leaf | Branch]:
    for each in fields:
        path = above + each["name"]
        rule = policy.rule(report, path)
        inner = _records_in(each["type"])
        if rule is None and inner is not None:
            within = _nodes(inner, f"{path}.", report=report, policy=policy, consents=consents)
            yield Branch(each["name"], tuple(within))
        elif (decided := under(rule or DROP, consents))["action"] != "keep":
            yield Leaf(each["name"], path, decided, each.get("default"))


def _records_in(kind: Any) -> list[Mapping[str, Any]] | None:
    """The fields of the records that an array holds; None where it holds none."""
    items = kind.get("items") if isinstance(kind, dict) and kind.get("type") == "array" else None
    return items["fields"] if isinstance(items, dict) and items.get("type") == "record" else None
