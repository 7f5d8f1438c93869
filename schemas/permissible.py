"""Which rule may be applied to which field: the privacy rules that no policy file can switch off.

* An identifier is never plain `keep`.
* A string is never plain `keep`, whatever its class: free text is a channel for anything (docs/adr/0003).
* What works on numbers is not applied to names, and the other way round.
* A (report, field) is named once, and never together with what contains it.
"""

from collections.abc import Callable, Iterator

from schemas.avro_types import Array, AvroType, Field, Map, Primitive, Record
from schemas.errors import Finding, nearest
from schemas.plan import applies
from schemas.report_schema import ReportSchema
from schemas.tier import CoarsenBucket, Keep, Pseudonymise, Rule, Tier

NUMBERS = ("int", "long")
OPERANDS: dict[str, tuple[str, ...]] = {
    "floor_hour": ("long",),
    "ceil_hour": ("long",),
    "bucket": NUMBERS,
    "version": ("string",),
    "address": ("string",),
    "allowed": ("string",),
    "known": ("string",),
}


def rule_problem(rule: Rule, field: Field) -> str | None:
    """Why `rule` may not be applied to `field`, or None if it may."""
    if isinstance(rule, Keep):
        return keep_problem(field)
    operands = ("string",) if isinstance(rule, Pseudonymise) else OPERANDS.get(getattr(rule, "by", ""))
    if operands is not None and not (isinstance(field.type, Primitive) and field.type.name in operands):
        return f"this works on {' or '.join(operands)} only"
    if isinstance(rule, CoarsenBucket) and field.type == Primitive("int") and not _fit_int(rule.bounds):
        return "the field is an int, and a bound does not fit 32 bits"
    return None


def _fit_int(bounds: tuple[int, ...]) -> bool:
    return bounds[0] >= -(2**31) and bounds[-1] < 2**31


def keep_problem(field: Field) -> str | None:
    """Why `field` may not be plain `keep`, or None if it may; a container may be if all that is in it may."""
    if field.privacy == "identifier":
        return "an identifier is never plain keep; pseudonymise, coarsen or drop it"
    if field.record is not None:
        return _whole_problem(field.record)
    if _free_text(field.type):
        return "a string is never plain keep, for free text can carry anything; coarsen, pseudonymise or drop it"
    return None


def _whole_problem(record: Record) -> str | None:
    for inner in record.fields:
        problem = keep_problem(inner)
        if problem is not None:
            return f"it holds {inner.path}, and {problem}"
    return None


def _free_text(node: AvroType) -> bool:
    match node:
        case Map():
            return True
        case Array(items):
            return _free_text(items)
        case Primitive(name, _):
            return name == "string"
    return False


def rule_findings(schema: ReportSchema, tier: Tier, *, file: str, line: Callable[[int], int]) -> Iterator[Finding]:
    """What is wrong with the rules of `tier` for `schema`; `line` tells where the rule of an index stands."""
    named: dict[str, int] = {}
    for index, rule in enumerate(tier.rules):
        if applies(rule, schema):
            for path in rule.fields:
                for problem, fix in _problems(schema, rule, path, named):
                    yield Finding(file, line(index), f"{schema.label}, {path}: {problem}", fix)
                named[path] = index


def _problems(schema: ReportSchema, rule: Rule, path: str, named: dict[str, int]) -> Iterator[tuple[str, str]]:
    field = schema.fields.get(path)
    if field is None:
        if rule.reports:
            yield "there is no such field", nearest(path, schema.fields)
        return
    if path in named:
        yield f"rule {named[path] + 1} names it too", "keep one of the two"
    related = next((other for other in named if path.startswith(other + ".") or other.startswith(path + ".")), None)
    if related is not None:
        yield f"{related} is named too", "name the container or what is in it, not both"
    problem = rule_problem(rule, field)
    if problem is not None:
        yield problem, "choose another action for the field"
