"""(report schema x tier policy) compiled once into a plan: what happens to each field, and the schema of what is left.

The output schema has no place for a dropped field, so a stripped record cannot hold one, whatever the code does. Every
output field that a policy can name is `["null", T]` with default null, so that tightening and loosening a policy keep
old and new records readable both ways (docs/adr/0003). A container that a rule names is kept whole, with its inner
fields as the report schema has them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import cached_property
from io import BytesIO
from typing import Any

import fastavro

from schemas.avro_types import Field
from schemas.output_schema import REMARK_ACTIONS, output_schema
from schemas.report_schema import ReportSchema, crc_64_avro
from schemas.tier import Drop, RefuseIfPresent, Rule, RuleBase, Tier


class Action(Enum):
    """What a policy does to a value."""

    KEEP = "keep"
    DROP = "drop"
    COARSEN = "coarsen"
    PSEUDONYMISE = "pseudonymise"

    @property
    def index(self) -> int:
        """Its place among the symbols of a remark's action."""
        return REMARK_ACTIONS.index(self.value)


UNKNOWN_FIELD = 0
"""The field id under which names that a device made up are counted; real ids begin at 1."""

NOT_NAMED = "No rule of this tier names the field, and what is not named is dropped."


@dataclass(frozen=True, slots=True)
class PlannedField:
    """What one field meets. `children` is set for a container that is descended into; its own rule is then moot."""

    field: Field
    rule: Rule
    refused_since_ms: int | None
    children: tuple["PlannedField", ...] | None

    @property
    def action(self) -> Action:
        """The action of the field's own rule."""
        return Action(self.rule.action)

    @property
    def consent(self) -> str | None:
        """The purpose without whose consent the field is dropped, if its rule names one."""
        return getattr(self.rule, "consent", None)

    @property
    def survives(self) -> bool:
        """Whether the output has a place for this field, under some consent at least."""
        if self.children is not None:
            return any(child.survives for child in self.children)
        return self.action is not Action.DROP


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that strip needs to know, and all that the log is told about how a record came to be.

    Two plans are the same plan only if they are the same object; `fingerprint` says whether they strip alike.
    """

    schema: ReportSchema
    tier: Tier
    fields: tuple[PlannedField, ...]
    output: dict[str, Any]

    @cached_property
    def topic(self) -> str:
        """Where stripped reports of this plan go: `tidegate.<tier>.<report>.v<n>`."""
        return f"tidegate.{self.tier.name}.{self.schema.label}"

    @cached_property
    def output_fingerprint(self) -> bytes:
        """CRC-64-AVRO of the output schema, little-endian."""
        return crc_64_avro(self.output)

    @cached_property
    def output_parsed(self) -> Any:
        """The output schema in the form that fastavro's readers and writers take."""
        return fastavro.parse_schema(self.output)

    def readable(self, body: bytes) -> dict[str, Any]:
        """A stripped body as a JSON object for people: without what was not kept, times as RFC 3339, bytes as hex."""
        return read_stripped(body, self.output_parsed)

    def path_of(self, field_id: int) -> str:
        """The path of the report schema's field with that id; raises KeyError."""
        return self._paths[field_id]

    def refused_from(self, path: str) -> date | None:
        """The day from which the tier refuses a report that carries the field, if one was announced."""
        entry = self._refused.get(path)
        return None if entry is None else entry.since

    @cached_property
    def _paths(self) -> dict[int, str]:
        return {field.id: path for path, field in self.schema.fields.items()}

    @cached_property
    def _refused(self) -> dict[str, RefuseIfPresent]:
        return {entry.field: entry for entry in self.tier.refuse_if_present}

    @cached_property
    def fingerprint(self) -> bytes:
        """8 bytes of SHA-256 over the report schema's fingerprint and every field's rule: equal if stripping is."""
        rules = [(planned.field.path, _what_it_does(planned, self.tier)) for planned in planned_leaves(self.fields)]
        refused = [(path, entry.since_ms) for path, entry in self._refused.items() if path in self.schema.fields]
        described = json.dumps([self.schema.fingerprint.hex(), self.tier.name, rules, sorted(refused)], sort_keys=True)
        return hashlib.sha256(described.encode()).digest()[:8]


def _what_it_does(planned: PlannedField, tier: Tier) -> dict[str, Any]:
    does = planned.rule.model_dump(mode="json", exclude={"fields", "reports", "why", "although"})
    # Another epoch is another key, and so another pseudonym.
    epoch = tier.pseudonym.epoch_days if tier.pseudonym and planned.action is Action.PSEUDONYMISE else None
    return {**does, "epoch_days": epoch}


def read_stripped(body: bytes, parsed: Any) -> dict[str, Any]:
    """As `Plan.readable`, for a body under any output schema, `parsed` by fastavro."""
    kept: dict[str, Any] = _readable(fastavro.schemaless_reader(BytesIO(body), parsed, None))
    return kept


def _readable(value: Any) -> Any:
    match value:
        case dict():
            return {name: _readable(item) for name, item in value.items() if item is not None}
        case list():
            return [_readable(item) for item in value]
        case bytes():
            return value.hex()
        case datetime():
            return value.isoformat(timespec="milliseconds")
    return value


def planned_leaves(fields: tuple[PlannedField, ...]) -> Iterator[PlannedField]:
    """The fields whose own rule counts: every one that is not descended into."""
    for planned in fields:
        if planned.children is None:
            yield planned
        else:
            yield from planned_leaves(planned.children)


def compile_plan(schema: ReportSchema, tier: Tier) -> Plan:
    """The plan of `tier` for `schema`, two that `schemas.lint` has nothing to say about."""
    rules = {
        path: rule for rule in tier.rules if applies(rule, schema) for path in rule.fields if path in schema.fields
    }
    refused = {entry.field: entry.since_ms for entry in tier.refuse_if_present}
    fields = tuple(_planned(field, rules, refused) for field in schema.root.fields)
    output = output_schema(schema.label, schema.root.name.rpartition(".")[2], fields)
    return Plan(schema=schema, tier=tier, fields=fields, output=output)


def applies(rule: RuleBase, schema: ReportSchema) -> bool:
    """Whether `rule` speaks of this report at all."""
    return not rule.reports or schema.name in rule.reports


def _planned(field: Field, rules: Mapping[str, Rule], refused: Mapping[str, int]) -> PlannedField:
    rule = rules.get(field.path)
    record = field.record
    children = None
    if rule is None and record is not None:
        children = tuple(_planned(child, rules, refused) for child in record.fields)
    return PlannedField(
        field=field,
        rule=rule or Drop(fields=(field.path,), action="drop", why=NOT_NAMED),
        refused_since_ms=refused.get(field.path),
        children=children,
    )
