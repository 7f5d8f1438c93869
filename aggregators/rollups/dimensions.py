"""By what the rows of a report are told apart, as the device does it: the fields that make a row one of its kind.

A device flags its first row of each combination of these. Where the gate altered one of them, two of its combinations
may have become one, and their flags would count the device twice (docs/adr/0012-lower-bound.md). The same holds where
it dropped a name of no schema, for that may be a dimension of an agent newer than the gate.
"""

from collections.abc import Mapping

from schemas.report_schema import ReportSchema

DIMENSIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "route_window": {
        "rows": (
            "data_class",
            "task_kind",
            "input_size",
            "authority",
            "device_approved",
            "planned_route",
            "actual_route",
            "decision_reason",
            "precision",
            "served_region",
            "model",
            "model_version",
            "policy_version",
        ),
        "violations": ("rule",),
    },
    "fallback_window": {
        "rows": ("data_class", "planned_route", "actual_route", "fallback_reason", "consent", "disclosed"),
        "planned": ("planned_route",),
    },
    "model_inventory": {
        "rows": ("model", "version", "digest", "precision", "runtime"),
    },
}
"""Report -> array -> fields of a row. Other reports have no tables of rows. docs/reports.md says the same."""


def dimension_fields(schema: ReportSchema) -> dict[str, frozenset[int]]:
    """The field ids of the dimensions of each array of a report that has a table of rows; empty for other reports."""
    return {
        array: frozenset(schema.fields[path].id for name in names if (path := f"{array}.{name}") in schema.fields)
        for array, names in DIMENSIONS.get(schema.name, {}).items()
    }
