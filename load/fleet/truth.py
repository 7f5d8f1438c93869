"""The truth: what the answers about a made-up fleet really are.

    tasks, files --reports--> what devices say --kept_rows--> what their tiers let through --fold--> cells

Everything is computed from the tasks and files themselves by sums over lists. It shares the nouns and the fleet's own
numbers with what posts the reports, and no code with what posts, strips, stores or counts them; the tier policies, the
manifest and the prices are read as the documents they are.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from load.fleet.truth_cells import Truth, fold
from load.fleet.truth_fallbacks import fallback_parts
from load.fleet.truth_inventory import inventory_parts
from load.fleet.truth_routes import route_parts
from load.fleet.truth_rows import Arrived, KeptRows, kept_rows
from load.fleet.truth_windows import Fleet


def all_arrived(device: int, report: str, start: int) -> bool:  # noqa: ARG001  # it is asked as any other
    """Every report arrived."""
    return True


def truth(fleet: Fleet, *, arrived: Arrived = all_arrived) -> Truth:
    """The cells of R1 to R5, F1 to F5, V1 and V2 by cube, for the reports that arrived."""
    [found] = phases(fleet, [arrived])
    return found


def phases(fleet: Fleet, arrivals: Iterable[Arrived]) -> list[Truth]:
    """The truth as of several moments, each given by the reports that had arrived by then."""
    with _no_collector():
        rows = kept_rows(fleet)
        return [_truth(fleet, rows.only(arrived)) for arrived in arrivals]


def _truth(fleet: Fleet, rows: KeptRows) -> Truth:
    return fold(
        [
            *route_parts(rows, fleet.prices),
            *fallback_parts(rows),
            *inventory_parts(rows, fleet.manifest),
        ]
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of small objects are made here and no cycles; looking for some took a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
