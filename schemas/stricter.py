"""Does a stricter tier keep more than the looser one anywhere? Compared field by field, by what a rule lets through."""

from collections.abc import Iterator

from schemas.avro_types import walk
from schemas.errors import Finding
from schemas.plan import applies
from schemas.report_schema import ReportSchema
from schemas.tier import CoarsenAddress, CoarsenAllowed, CoarsenBucket, CoarsenVersion, KeepingRule, Rule, Tier

ORDER = ("drop", "pseudonymise", "coarsen", "keep")
"""Actions from the one that lets least through to the one that lets everything through."""


def stricter_findings(schema: ReportSchema, stricter: Tier, looser: Tier, *, file: str) -> Iterator[Finding]:
    """Where `stricter` keeps more of `schema` than `looser`, and does not say why (`although`)."""
    if schema.name not in stricter.reports:
        return
    if schema.name not in looser.reports:
        problem = f"{schema.name}: allowed here, and not in the looser tier {looser.name}"
        yield Finding(file, 0, problem, f"take it out of reports, or allow it in {looser.name}")
        return
    for field in walk(schema.root):
        if field.record is not None:
            continue
        mine, theirs = _rule_for(schema, stricter, field.path), _rule_for(schema, looser, field.path)
        if _keeps_more(mine, theirs) and not _says_why(mine):
            problem = f"{schema.label}, {field.path}: kept here more than in the looser tier {looser.name}"
            yield Finding(file, 0, problem, "keep less, or say why in the rule: although = '...'")


def _rule_for(schema: ReportSchema, tier: Tier, path: str) -> Rule | None:
    """The rule that decides over `path`: the one that names it, or names what contains it; None drops it."""
    rules = {name: rule for rule in tier.rules if applies(rule, schema) for name in rule.fields}
    while path not in rules and "." in path:
        path = path.rpartition(".")[0]
    return rules.get(path)


def _says_why(rule: Rule | None) -> bool:
    return isinstance(rule, KeepingRule) and rule.although is not None


def _keeps_more(mine: Rule | None, theirs: Rule | None) -> bool:
    if mine is None or mine.action == "drop":
        return False
    if theirs is None or theirs.action == "drop":
        return True
    if theirs.consent is not None and mine.consent != theirs.consent:
        return True  # from devices that did not give it
    if ORDER.index(mine.action) != ORDER.index(theirs.action):
        return ORDER.index(mine.action) > ORDER.index(theirs.action)
    return _finer(mine, theirs)


def _finer(mine: KeepingRule, theirs: KeepingRule) -> bool:
    """Whether one coarsening tells more than another of its kind; kinds that differ are not compared."""
    if isinstance(mine, CoarsenVersion) and isinstance(theirs, CoarsenVersion):
        return mine.parts > theirs.parts
    if isinstance(mine, CoarsenAddress) and isinstance(theirs, CoarsenAddress):
        return mine.ipv4 > theirs.ipv4 or mine.ipv6 > theirs.ipv6
    if isinstance(mine, CoarsenBucket) and isinstance(theirs, CoarsenBucket):
        return not set(mine.bounds) <= set(theirs.bounds)
    if isinstance(mine, CoarsenAllowed) and isinstance(theirs, CoarsenAllowed):
        return not set(mine.allowed) <= set(theirs.allowed)
    return False
