"""How complete a device's own record and its sending are: what trace_window is made of."""

from collections import Counter
from typing import Any

from reporter.windows.degrees import WINDOWS_LOST
from reporter.windows.numbers import whole, within_int
from reporter.windows.sums import Sums
from reporter.windows.task_window import Decisions
from reporter.windows.vocabulary import Row, fits, fitted


class TraceWindow:
    """One window of the record. `lost` goes back further than the window, so it is said when this is closed."""

    __slots__ = ("_sums", "_violations")

    def __init__(self) -> None:
        self._sums = Sums()
        self._violations: Counter[str] = Counter()

    def decided(self, decisions: Decisions) -> None:
        """The tasks of a window that was closed; each should have left a trace."""
        self._sums.add(
            traces_expected=decisions.tasks,
            traces_complete=decisions.complete,
            decisions=decisions.tasks,
            decisions_with_reason=decisions.with_reason,
        )

    def count(self, *, closed: int = 0, evidence_kept: int = 0, bytes_uploaded: int = 0) -> None:
        """Reports that were closed, traces whose evidence stays on the device, bytes that were sent."""
        self._sums.add(windows_closed=closed, evidence_kept=evidence_kept, bytes_uploaded=bytes_uploaded)

    def accepted_late(self, delay_s: float) -> None:
        """A report was accepted later than one window after it was closed."""
        self._sums.add(uploads_delayed=1)
        self._sums.observe(upload_delay=delay_s)

    def violated(self, kind: str, count: int = 1) -> None:
        """Something that the device's own policy does not allow."""
        self._violations[fits("trace_window", "violations")["kind"](kind)] += whole(count)

    def values(self, lost: Any) -> Row:
        """What a trace_window says below its header; `lost` is the number of reports given up, None if not known."""
        said = {"windows_lost": WINDOWS_LOST.word(lost), **self._sums.values(("bytes_uploaded",))}
        violations = sorted(self._violations.items())
        said["violations"] = [{"kind": kind, "count": within_int(count)} for kind, count in violations]
        return fitted(said, fits("trace_window"))
