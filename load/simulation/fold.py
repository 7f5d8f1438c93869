"""The plain fold: what the rollups must hold, added up from what the devices sent, without any code of the product."""

from collections.abc import Container, Iterable

from load.simulation.contracts import MS_PER_HOUR, MadeReport

Fold = dict[tuple[str, int], tuple[int, int]]
"""(reports, decisions) by (tier, hour of the window in milliseconds)."""


def fold(reports: Iterable[MadeReport], *, counted: Container[bytes]) -> Fold:
    """Add up the reports whose ids are in `counted`."""
    sums: Fold = {}
    for report in reports:
        if report.report_id in counted:
            cell = report.tier, report.window_start - report.window_start % MS_PER_HOUR
            reports_so_far, decisions_so_far = sums.get(cell, (0, 0))
            sums[cell] = reports_so_far + 1, decisions_so_far + report.decisions
    return sums
