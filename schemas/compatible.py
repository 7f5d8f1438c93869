"""Whether data written under one schema may be read under another, and if not, where and why.

The verdict is that of the Apache Avro project's own checker. It hands its places and its reasons back as two separate
sets, and inside a union it forgets the place; so this module asks it for ever smaller pairs, down to the innermost one
that it refuses, and says what that pair is in the words of a person who has two files side by side.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from avro.compatibility import (
    ReaderWriterCompatibilityChecker,
    SchemaCompatibilityType,
    SchemaIncompatibilityType,
    lookup_writer_field,
    schema_name_equals,
)
from avro.errors import AvroException
from avro.schema import ArraySchema, EnumSchema, FixedSchema, MapSchema, RecordSchema, Schema, UnionSchema, parse

from schemas.catalogue import Catalogue
from schemas.errors import Finding
from schemas.plan import Plan, applies
from schemas.toml_lines import line_of

Direction = Literal["new reads old", "old reads new"]
DIRECTIONS: tuple[Direction, Direction] = ("new reads old", "old reads new")

THE_RECORD = "the record itself"
"""The place of what is wrong with the outermost type."""


class NotAvro(ValueError):
    """A schema document is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """A place where `direction` fails, as a path like `rows[].latency.counts[]`, Avro's name for it, and why."""

    direction: Direction
    where: str
    kind: str
    why: str


def incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Incompatibility]:
    """Why the two schemas are not fully compatible (each reads the other's data); nothing if they are.

    Raises `NotAvro` if one of them is no Avro schema.
    """
    older, newer = _parsed(old), _parsed(new)
    yield from _Comparison("new reads old", reader="the new schema", writer="the old one").refused(newer, older, "")
    yield from _Comparison("old reads new", reader="the old schema", writer="the new one").refused(older, newer, "")


def _parsed(document: Mapping[str, Any]) -> Schema:
    try:
        return parse(json.dumps(document))
    except AvroException as error:
        raise NotAvro(str(error)) from None


class _Comparison:
    """One direction of a comparison; `reader` and `writer` are what sentences call the two."""

    def __init__(self, direction: Direction, *, reader: str, writer: str) -> None:
        self._direction = direction
        self._reader = reader
        self._writer = writer
        self._open: set[tuple[int, int]] = set()

    def refused(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        """The innermost pairs at and below `path` that the checker refuses."""
        verdict = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
        pair = (id(reader), id(writer))
        if verdict.compatibility is SchemaCompatibilityType.compatible or pair in self._open:
            return
        self._open.add(pair)  # a type may contain itself
        found = list(self._explained(reader, writer, path))
        self._open.remove(pair)
        # Never silent where the checker is not.
        yield from found or [self._at(path, verdict.incompatibilities[0], "; ".join(sorted(verdict.messages)))]

    def _explained(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        match reader, writer:
            case RecordSchema(), RecordSchema():
                yield from self._named_otherwise(reader, writer, path)
                yield from self._fields(reader, writer, path)
            case EnumSchema(), EnumSchema():
                yield from self._named_otherwise(reader, writer, path)
                yield from self._symbols(reader, writer, path)
            case FixedSchema(), FixedSchema():
                yield from self._named_otherwise(reader, writer, path)
                yield from self._size(reader, writer, path)
            case ArraySchema(), ArraySchema():
                yield from self.refused(reader.items, writer.items, f"{path}[]")
            case MapSchema(), MapSchema():
                yield from self.refused(reader.values, writer.values, f"{path}{{}}")
            case (UnionSchema(), _) | (_, UnionSchema()):
                yield from self._branches(reader, writer, path)
            case _:
                yield self._types(reader, writer, path)

    def _fields(self, reader: RecordSchema, writer: RecordSchema, path: str) -> Iterator[Incompatibility]:
        for field in reader.fields:
            inner = f"{path}.{field.name}" if path else field.name
            written = lookup_writer_field(writer, field)
            if written is not None:
                yield from self.refused(field.type, written.type, inner)
            elif not field.has_default:
                why = f"{self._writer} does not have this field, and {self._reader} has no default for it"
                yield self._at(inner, SchemaIncompatibilityType.reader_field_missing_default_value, why)

    def _branches(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        for branch in _branches(writer):
            like = next((known for known in _branches(reader) if known.type == branch.type), None)
            if like is not None:
                yield from self.refused(like, branch, path)
            elif ReaderWriterCompatibilityChecker().get_compatibility(reader, branch).compatibility is (
                SchemaCompatibilityType.incompatible
            ):
                yield self._types(reader, branch, path)

    def _types(self, reader: Schema, writer: Schema, path: str) -> Incompatibility:
        why = (
            f"{self._writer} may write {_article(_named(writer))}, where {self._reader} has {_article(_named(reader))}"
        )
        return self._at(path, SchemaIncompatibilityType.type_mismatch, why)

    def _symbols(self, reader: EnumSchema, writer: EnumSchema, path: str) -> Iterator[Incompatibility]:
        missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if missing and reader.props.get("default") not in reader.symbols:
            why = f"{self._reader} does not have {', '.join(missing)}, and has no default for a symbol it does not know"
            yield self._at(path, SchemaIncompatibilityType.missing_enum_symbols, why)

    def _size(self, reader: FixedSchema, writer: FixedSchema, path: str) -> Iterator[Incompatibility]:
        if reader.size != writer.size:
            why = f"{self._writer} writes {writer.size} bytes, {self._reader} reads {reader.size}"
            yield self._at(path, SchemaIncompatibilityType.fixed_size_mismatch, why)

    def _named_otherwise(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        if not schema_name_equals(reader, writer):
            why = f"{self._writer} calls this {writer.type} {writer.name}, {self._reader} calls it {reader.name}"
            yield self._at(path, SchemaIncompatibilityType.name_mismatch, why)

    def _at(self, path: str, kind: SchemaIncompatibilityType, why: str) -> Incompatibility:
        return Incompatibility(self._direction, path or THE_RECORD, kind.name, why)


def _branches(schema: Schema) -> tuple[Schema, ...]:
    return tuple(schema.schemas) if isinstance(schema, UnionSchema) else (schema,)


def _named(schema: Schema) -> str:
    """A type in words: `long`, `enum Route`, `null or string`."""
    if isinstance(schema, UnionSchema):
        return " or ".join(_named(branch) for branch in schema.schemas)
    name = getattr(schema, "name", None)
    return f"{schema.type} {name}" if isinstance(schema, RecordSchema | EnumSchema | FixedSchema) else str(schema.type)


def _article(words: str) -> str:
    return words if words.startswith("null") else f"{'an' if words[0] in 'aei' else 'a'} {words}"


def policy_incompatibilities(
    old: Mapping[str, Plan], new: Mapping[str, Plan]
) -> Iterator[tuple[str, list[Incompatibility]]]:
    """For each report (`route_window.v1`) that both versions of a policy take, why its output schemas do not agree."""
    for label in sorted(old.keys() & new.keys()):
        yield label, list(incompatibilities(old[label].output, new[label].output))


def tightening_findings(catalogue: Catalogue, tiers: Path) -> Iterator[Finding]:
    """Where the stripped records of two tiers' policies, which are files in `tiers`, could not be read as each other's.

    A tier may at any time be given rules as strict, or as loose, as another's; the records of its topics, old and new,
    must then stay readable under either (Avro's FULL_TRANSITIVE). Each place is told once, whichever direction fails.
    """
    for plan, other in output_pairs(catalogue):
        kinds = {found.where: found.kind for found in incompatibilities(plan.output, other.output)}
        for where in (where for where in kinds if not _inside_another(where, kinds)):
            problem = (
                f"{plan.schema.label}, {where}: stripped records of {plan.tier.name} and {other.tier.name} "
                f"cannot be read as each other's ({kinds[where]})"
            )
            fix = "name the container as a whole in both policies, or fields inside it in both"
            file = tiers / f"{other.tier.name}.toml"
            yield Finding(str(file), _line_of_rule(file, other, where), problem, fix)


def _inside_another(where: str, places: Iterable[str]) -> bool:
    return any(where.startswith((f"{place}.", f"{place}[")) for place in places)


def output_pairs(catalogue: Catalogue) -> Iterator[tuple[Plan, Plan]]:
    """Every two plans that strip the same report schema for different tiers."""
    plans = catalogue.plans.values()
    for plan in plans:
        for other in plans:
            if plan.schema.fingerprint == other.schema.fingerprint and plan.tier.name < other.tier.name:
                yield plan, other


def _line_of_rule(file: Path, plan: Plan, where: str) -> int:
    """The line of the rule that names `where`, what contains it, or something in it; 0 if none does."""
    path = where.replace("[]", "").replace("{}", "") + "."
    for index, rule in enumerate(plan.tier.rules):
        names = [f"{name}." for name in rule.fields]
        if applies(rule, plan.schema) and any(name.startswith(path) or path.startswith(name) for name in names):
            return line_of(file.read_text(encoding="utf-8"), ("rule", index))
    return 0
