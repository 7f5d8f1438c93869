"""What a part of the bench found, and how all of them are printed: tables beneath the machine they were measured on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rich import box
from rich.console import Console
from rich.table import Table

from load.machine import describe
from load.rounds import Spread

MIB = 1024 * 1024
PRINTED_COLUMNS = 112


@dataclass(frozen=True, slots=True)
class Target:
    """Something that was asked; the verdict is met, not met, or not judged."""

    name: str
    found: str
    verdict: str

    @classmethod
    def of(cls, name: str, found: str, *, met: bool, judged: bool) -> "Target":
        return cls(name, found, ("met" if met else "not met") if judged else "not judged")


class Part(Protocol):
    """One part's figures. `heading` says what was run, with the seed."""

    @property
    def heading(self) -> str: ...

    @property
    def tables(self) -> Sequence[Table]: ...

    @property
    def targets(self) -> Sequence[Target]: ...

    def document(self) -> dict[str, Any]:
        """Everything, for a program."""
        ...


def missed(part: Part) -> bool:
    """Whether anything that was asked is not so; never where nothing is judged."""
    return any(target.verdict == "not met" for target in part.targets)


def document(parts: dict[str, Part]) -> dict[str, Any]:
    """All parts by their names, and the machine."""
    found = {
        name: {**part.document(), "targets": [asdict(target) for target in part.targets]}
        for name, part in parts.items()
    }
    return {"machine": describe(), **found}


def show(parts: dict[str, Part]) -> None:
    """Print everything for a person, on stdout."""
    console = Console(markup=False, highlight=False, emoji=False, width=PRINTED_COLUMNS)
    machine = describe()
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}")
    console.print(libraries)
    for part in parts.values():
        console.print(f"\n{part.heading}")
        for shown in (*part.tables, *_targets(part)):
            console.print(shown)


def _targets(part: Part) -> Sequence[Table]:
    if not part.targets:
        return ()
    shown = table("target", "found", "")
    for target in part.targets:
        shown.add_row(target.name, target.found, target.verdict)
    return (shown,)


def table(first: str, *others: str) -> Table:
    """A table with names in its first column and figures in the others."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column(first)
    for name in others:
        made.add_column(name, justify="right")
    return made


def with_range(spread: Spread, *, digits: int = 0) -> str:
    """The median, and between which values the rounds lay."""
    return f"{spread.median:,.{digits}f} ({spread.lowest:,.{digits}f} to {spread.highest:,.{digits}f})"
