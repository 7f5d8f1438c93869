"""What must hold between the contract files, beyond what each says alone.

* Every field of every report has a privacy class, a unit and a doc; all reports begin with the same header.
* Every name in a policy exists; hostnames belong to one tier.
* The rules of `schemas.permissible` hold for every (report, tier).
* A stricter tier never keeps more than the looser one, unless its rule says why (`although`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from schemas.avro_types import PRIVACY_CLASSES, Array, Map, walk
from schemas.errors import Finding, nearest
from schemas.output_schema import RESERVED_NAMES
from schemas.permissible import rule_findings
from schemas.plan import applies
from schemas.report_schema import PREAMBLE, ReportSchema
from schemas.stricter import stricter_findings
from schemas.tier import Tier
from schemas.toml_lines import line_of

TomlPath = tuple[int | str, ...]

LAST_OF_HEADER = "attributes"
"""The header ends with the free-form attributes; what follows belongs to the report."""


def contract_findings(
    schemas: Mapping[Path, ReportSchema], tiers: Mapping[Path, Tier], *, unreadable: Collection[str] = ()
) -> Iterator[Finding]:
    """Everything wrong with these files taken together; `unreadable` are tiers whose files are refused already."""
    for file, schema in schemas.items():
        yield from _schema_findings(file, schema)
    yield from _header_findings(schemas)
    for file, tier in tiers.items():
        yield from _file_name_findings(file, tier)
        yield from policy_findings(file, tier, schemas.values())
    yield from _hostname_findings(tiers)
    yield from _strictness_findings(tiers, schemas.values(), unreadable)


def _schema_findings(file: Path, schema: ReportSchema) -> Iterator[Finding]:
    for field in walk(schema.root):
        if field.privacy not in PRIVACY_CLASSES:
            known = ", ".join(PRIVACY_CLASSES)
            yield Finding(str(file), 0, f"{field.path}: no privacy class", f'add "privacy": one of {known}')
        if not field.unit:
            yield Finding(str(file), 0, f"{field.path}: no unit", 'add "unit", "none" for names and flags')
        if not field.doc:
            yield Finding(str(file), 0, f"{field.path}: no doc", 'add "doc", a sentence')
    for field in schema.root.fields:
        if field.name in RESERVED_NAMES:
            yield Finding(str(file), 0, f"{field.name}: the stripped record uses this name", "choose another name")


def _header_findings(schemas: Mapping[Path, ReportSchema]) -> Iterator[Finding]:
    reference: tuple[Path, list[object]] | None = None
    for file, schema in schemas.items():
        header = _header(schema)
        names = tuple(field.name for field in schema.root.fields[: len(PREAMBLE)])
        if names != PREAMBLE or header is None:
            fix = f"begin with {', '.join(PREAMBLE)} and end the header with {LAST_OF_HEADER}"
            yield Finding(str(file), 0, "the report does not begin with the header", fix)
        elif reference is None:
            reference = (file, header)
        elif header != reference[1]:
            yield Finding(str(file), 0, f"the header differs from that of {reference[0].name}", "make them the same")


def _header(schema: ReportSchema) -> list[object] | None:
    fields = schema.document["fields"]
    ends = [index for index, field in enumerate(fields) if field["name"] == LAST_OF_HEADER]
    return fields[: ends[0] + 1] if ends else None


def _file_name_findings(file: Path, tier: Tier) -> Iterator[Finding]:
    if file.stem != tier.name:
        line = line_of(file.read_text(encoding="utf-8"), ("tier",))
        fix = f"rename the file to {tier.name}.toml"
        yield Finding(str(file), line, f"the file of tier {tier.name} has another name", fix)


def policy_findings(file: Path, tier: Tier, schemas: Iterable[ReportSchema]) -> Iterator[Finding]:
    """Everything wrong with one policy, whatever its file is called and whatever other tiers there are."""
    schemas = tuple(schemas)
    text = file.read_text(encoding="utf-8")
    for path, name in _mentioned_reports(tier):
        names = {schema.name for schema in schemas}
        if name not in names:
            yield Finding(str(file), line_of(text, path), f"there is no report {name}", nearest(name, names))
    for path, name in _mentioned_fields(tier):
        fields = {field for schema in schemas for field in schema.fields}
        if name not in fields:
            yield Finding(str(file), line_of(text, path), f"no report has a field {name}", nearest(name, fields))
    for schema in schemas:
        yield from _refusal_findings(file, text, tier, schema)
        yield from rule_findings(schema, tier, file=str(file), line=lambda index: line_of(text, ("rule", index)))


def _mentioned_reports(tier: Tier) -> Iterator[tuple[TomlPath, str]]:
    yield from ((("reports",), name) for name in tier.reports)
    yield from ((("requires_consent", name), name) for name in tier.requires_consent)
    yield from ((("rule", index), name) for index, rule in enumerate(tier.rules) for name in rule.reports)


def _mentioned_fields(tier: Tier) -> Iterator[tuple[TomlPath, str]]:
    yield from ((("refuse_if_present", index), entry.field) for index, entry in enumerate(tier.refuse_if_present))
    yield from ((("rule", index), name) for index, rule in enumerate(tier.rules) for name in rule.fields)


def _refusal_findings(file: Path, text: str, tier: Tier, schema: ReportSchema) -> Iterator[Finding]:
    """A field can be refused only if it can be absent (null, or an empty array or map), and only if it is looked at."""
    whole = {name for rule in tier.rules if applies(rule, schema) for name in rule.fields}
    for index, entry in enumerate(tier.refuse_if_present):
        field = schema.fields.get(entry.field)
        if field is None:
            continue
        line = line_of(text, ("refuse_if_present", index))
        if not field.nullable and not isinstance(field.type, Array | Map):
            problem = f"{schema.label}, {entry.field}: always present, so every report would be refused"
            yield Finding(str(file), line, problem, "refuse only fields that can be null or empty")
        container = next((name for name in whole if entry.field.startswith(f"{name}.")), None)
        if container is not None:
            problem = f"{schema.label}, {entry.field}: a rule names {container} as a whole, so it would not be refused"
            yield Finding(str(file), line, problem, f"refuse {container}, or name the fields in it")


def _hostname_findings(tiers: Mapping[Path, Tier]) -> Iterator[Finding]:
    owners: dict[str, Tier] = {}
    for file, tier in tiers.items():
        for hostname in tier.hostnames:
            owner = owners.setdefault(hostname, tier)
            if owner is not tier:
                problem = f"hostname {hostname} belongs to tier {owner.name} already"
                yield Finding(str(file), 0, problem, "give each tier hostnames of its own")


def _strictness_findings(
    tiers: Mapping[Path, Tier], schemas: Iterable[ReportSchema], unreadable: Collection[str]
) -> Iterator[Finding]:
    schemas = tuple(schemas)
    by_name = {tier.name: tier for tier in tiers.values()}
    for file, tier in tiers.items():
        if tier.stricter_than is None or tier.stricter_than in unreadable:
            continue
        looser = by_name.get(tier.stricter_than)
        if looser is None:
            yield Finding(
                str(file), 0, f"stricter_than: no tier {tier.stricter_than}", nearest(tier.stricter_than, by_name)
            )
            continue
        for schema in schemas:
            yield from stricter_findings(schema, tier, looser, file=str(file))
