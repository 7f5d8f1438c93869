"""What a device knows of its tier's policy: the document of `GET /v1/policy`, checked and ready to strip by.

* What the policy does not name is dropped. So is a field that it refuses, from the day on which that is announced,
  and a field whose action or coarsening this agent does not know.
* A policy that cannot be read whole is none: `BadPolicy`, without a word of what was in it.
* While no policy is known, `LEAST` is in force.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reporter.coarsen import Coarsening, coarsening
from reporter.reports import FINGERPRINTS, VERSION, Field, schema

ACTIONS = ("keep", "drop", "coarsen", "pseudonymise")


class BadPolicy(Exception):
    """The document is no policy; the message names the key at fault, never what it held."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a tier does to one field; `consent` is the purpose without which the field is dropped instead."""

    action: str
    coarsening: Coarsening | None = None
    consent: str | None = None

    @property
    def by(self) -> str | None:
        """The kind of its coarsening, if it is one."""
        return None if self.coarsening is None else self.coarsening.kind


KEEP = Decision("keep")
DROP = Decision("drop")

Decisions = Mapping[str, Decision]
"""Field path -> decision; a container that is named is decided over as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A tier's policy, as far as a device needs it. `version` 0 is that of no policy; `etag` is for the next request.

    `reports` has the reports that the tier takes in the version that this agent writes. `region_decides` says whether
    the region of a device decides where its reports may be stored.
    """

    tier: str
    version: int
    etag: str | None
    window_minutes: int
    min_tasks_per_row: int
    horizon_days: int
    clock_ahead_seconds: int
    requires_consent: Mapping[str, str]
    region_decides: bool
    reports: Mapping[str, Decisions]

    @classmethod
    def from_document(cls, document: bytes | Mapping[str, Any], *, etag: str | None = None) -> "Policy":
        """The policy that a gate published, as bytes or parsed; raises `BadPolicy`."""
        found = _parsed(document) if isinstance(document, bytes) else document
        refused = {_text(entry, "field") for entry in _objects(found, "refuse_if_present")}
        return cls(
            tier=_text(found, "tier"),
            version=_whole(found, "policy_version", 1, 2**31),
            etag=etag,
            window_minutes=_whole(found, "window_minutes", 1, 60),
            min_tasks_per_row=_whole(found, "min_tasks_per_row", 1, 2**31),
            horizon_days=_whole(found, "horizon_days", 1, 36_500),
            clock_ahead_seconds=_whole(found, "clock_ahead_seconds", 0, 2**31),
            requires_consent=_texts(found, "requires_consent"),
            region_decides=_flag(found, "region_decides_residency"),
            reports=dict(_reports(found, dict.fromkeys(refused, DROP))),
        )

    def takes(self, report: str) -> bool:
        """Whether the tier takes reports of this type at all."""
        return report in self.reports

    def allows(self, report: str, consents: frozenset[str]) -> bool:
        """Whether such a report may be made under the consents that were given."""
        return self.takes(report) and self.requires_consent.get(report) in (None, *consents)

    def rests_on(self, report: str) -> frozenset[str]:
        """The purposes that decide over anything in such a report."""
        asked = {decision.consent for decision in self.reports.get(report, {}).values()}
        return frozenset(purpose for purpose in (*asked, self.requires_consent.get(report)) if purpose is not None)

    @property
    def asks_for(self) -> frozenset[str]:
        """The purposes that a person can consent to in this tier with any effect."""
        return frozenset(purpose for report in self.reports for purpose in self.rests_on(report))


class _Operational(Mapping[str, Decisions]):
    """What `LEAST` decides, from the schemas, which are read when a report is first asked for."""

    def __getitem__(self, report: str) -> Decisions:
        if report not in FINGERPRINTS:
            raise KeyError(report)
        return _operational(report)

    def __contains__(self, report: object) -> bool:
        return report in FINGERPRINTS

    def __iter__(self) -> Iterator[str]:
        return iter(FINGERPRINTS)

    def __len__(self) -> int:
        return len(FINGERPRINTS)


@lru_cache(maxsize=len(FINGERPRINTS))
def _operational(report: str) -> Decisions:
    return dict(_least(schema(report).fields))


def _least(fields: Iterable[Field]) -> Iterator[tuple[str, Decision]]:
    """Only what is classed as operational, and of names no more than the beginning of a version."""
    for field in fields:
        if field.name in HOURS:
            yield field.path, HOURS[field.name]
        elif field.privacy != "operational":
            yield field.path, DROP
        elif field.fields:
            yield from _least(field.fields)
        else:
            yield field.path, TWO_NUMBERS if field.kind == "string" else KEEP


HOURS = {
    "window_start": Decision("coarsen", coarsening({"kind": "floor_hour"})),
    "window_end": Decision("coarsen", coarsening({"kind": "ceil_hour"})),
}
TWO_NUMBERS = Decision("coarsen", coarsening({"kind": "version", "parts": 2}))

LEAST = Policy(
    tier="",
    version=0,
    etag=None,
    window_minutes=60,
    min_tasks_per_row=5,
    horizon_days=45,
    clock_ahead_seconds=0,
    requires_consent={"fallback_window": "fallback_reports", "path_probe": "diagnostics"},
    region_decides=False,
    reports=_Operational(),
)
"""In force while no policy is known: operational fields only, whole hours, and the strictest numbers of any tier that
ships. The region is left out: where it decides about residency, the policy has to be known first."""


def _parsed(document: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):  # the errors of json carry the document
        raise BadPolicy("the document is not JSON") from None
    if not isinstance(found, dict):
        raise BadPolicy("the document is not a JSON object")
    return found


def _reports(document: Mapping[str, Any], refused: Decisions) -> Iterator[tuple[str, Decisions]]:
    for entry in _objects(document, "reports"):
        name = _text(entry, "report")
        # A report of another version, or another schema of that name, is not one that this agent could write.
        ours = name in FINGERPRINTS and _text(entry, "schema_fingerprint") == FINGERPRINTS[name].hex()
        if ours and _whole(entry, "version", 1, 2**31) == VERSION:
            yield name, {**{_text(row, "field"): _decision(row) for row in _objects(entry, "fields")}, **refused}


def _decision(row: Mapping[str, Any]) -> Decision:
    action, consent = _text(row, "action"), row.get("consent")
    if consent is not None and not isinstance(consent, str):
        raise BadPolicy("consent: not a text")
    if action not in ACTIONS or "refused_from" in row:
        return DROP
    if action != "coarsen":
        return Decision(action, consent=consent)
    found = _coarsening(row)
    return DROP if found is None else Decision(action, found, consent)


def _coarsening(row: Mapping[str, Any]) -> Coarsening | None:
    described = row.get("coarsening")
    if not isinstance(described, dict):
        raise BadPolicy("coarsening: not an object")
    try:
        return coarsening(described)
    except ValueError as error:
        raise BadPolicy(f"coarsening, {error}") from None


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise BadPolicy(f"{name}: not a text")
    return value


def _whole(holder: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = holder.get(name)
    if type(value) is not int or not low <= value <= high:
        raise BadPolicy(f"{name}: not a whole number from {low} to {high}")
    return value


def _flag(holder: Mapping[str, Any], name: str) -> bool:
    value = holder.get(name)
    if not isinstance(value, bool):
        raise BadPolicy(f"{name}: not true or false")
    return value


def _texts(holder: Mapping[str, Any], name: str) -> Mapping[str, str]:
    value = holder.get(name)
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadPolicy(f"{name}: not an object of texts")
    return value


def _objects(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = holder.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadPolicy(f"{name}: not a list of objects")
    return value
