"""How a device is: what health_window is made of."""

from dataclasses import dataclass
from typing import Any

from reporter.windows.degrees import BATTERY, QUEUE_DEPTH, SATURATION, Scale
from reporter.windows.sums import Sums
from reporter.windows.vocabulary import Row, fits, fitted


@dataclass(slots=True, kw_only=True)
class Health:
    """One look at a device: percent, or tasks that wait, or the schema's word, such as absent; None is not known.

    `crashes` and `cold_starts` are those since the last look.
    """

    battery: float | str | None = None
    memory: float | str | None = None
    accelerator: float | str | None = None
    queue_depth: int | str | None = None
    update_status: str | None = None
    crashes: int = 0
    cold_starts: int = 0


class HealthWindow:
    """The looks of one window: of charge the lowest is kept, of saturation and queue the highest."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums = Sums()

    def add(self, health: Health) -> None:
        """Takes in one look."""
        self._rank("battery", BATTERY, health.battery, worse=-1)
        self._rank("memory", SATURATION, health.memory, worse=1)
        self._rank("accelerator", SATURATION, health.accelerator, worse=1)
        self._rank("queue_depth", QUEUE_DEPTH, health.queue_depth, worse=1)
        self._sums.say(update_status=health.update_status)
        self._sums.add(crashes=health.crashes, cold_starts=health.cold_starts)

    def values(self) -> Row:
        """What a health_window says below its header."""
        return fitted(self._sums.values(), fits("health_window"))

    def _rank(self, name: str, scale: Scale, said: Any, *, worse: int) -> None:
        """`worse` is the direction of the scale in which things are worse; a word beside the scale comes last."""
        word = scale.word(said)
        if word is not None:
            place = scale.place(said)
            self._sums.rank(name, len(scale.words) if place == len(scale.words) else -worse * place, word)
