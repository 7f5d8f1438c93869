"""A stripped record as a person reads it: a field a line, the rows of a report as paragraphs, nothing cut off."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ingest.telemetry.account import UNKNOWN_FIELD_LABEL
from schemas.plan import UNKNOWN_FIELD, Plan
from tidegate.cli.page import wrapped

STAMPS = ("schema_fingerprint", "policy_version", "plan_fingerprint", "remarks")
"""What the gate adds to every stripped record; it is told apart from the report."""

DONE_TO = {"keep": "kept", "drop": "dropped", "coarsen": "coarsened", "pseudonymise": "pseudonymised"}

UNKNOWN_NAMES = "names that the schema does not have"


def kept(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record holds of its report."""
    return {name: value for name, value in record.items() if name not in STAMPS}


def record_lines(record: Mapping[str, Any], *, width: int, indent: str = "") -> Iterator[str]:
    """The fields of a record as text of at most `width` columns."""
    name_width = max((len(name) for name in record), default=0)
    for name, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}"
            for item in value:
                first, *others = wrapped(_json(item), width, indent=f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from others
        else:
            lines = wrapped(_json(value), width, indent=indent + " " * (name_width + 2))
            first = lines[0].strip() if lines else '""'
            yield f"{indent}{name:<{name_width}}  {first}"
            yield from lines[1:]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def by_action(fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A line for each action with the fields that met it, from pairs of field and action."""
    actions: dict[str, list[str]] = {}
    for field, action in fields:
        actions.setdefault(action, []).append(UNKNOWN_NAMES if field == UNKNOWN_FIELD_LABEL else field)
    for action, names in actions.items():
        yield f"{DONE_TO[action]}: {', '.join(names)}"


def remark_path(plan: Plan, field_id: int) -> str:
    """What a remark is about: the path of a field, or "unknown" for names that devices made up."""
    return UNKNOWN_FIELD_LABEL if field_id == UNKNOWN_FIELD else plan.path_of(field_id)
