"""What a demonstration shows: how far it is, the answers beside the truth, how it ended, where to look next."""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from load.fleet.batches import Phase
from tidegate.cli.page import columns
from tidegate.demo.asking import Beside
from tidegate.demo.outcome import Outcome
from tidegate.demo.stage import Stage


class Shown:
    """Steps and posts as bars on stderr, so that stdout holds the results alone."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, told: str) -> Iterator[None]:
        """A spinner and the seconds it takes; one line where there is no terminal."""
        with self._progress(
            SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), TimeElapsedColumn()
        ) as bar:
            task = bar.add_task(told, total=1)
            yield
            bar.update(task, completed=1)

    @contextmanager
    def posting(self, phases: tuple[Phase, ...]) -> Iterator[Callable[[str, int], None]]:
        """A bar for each phase."""
        parts = (TextColumn("{task.description:22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with self._progress(*parts) as bars:
            tasks = {
                phase.name: bars.add_task(f"Reports posted {phase.name}", total=phase.messages) for phase in phases
            }
            yield lambda name, done: bars.advance(tasks[name], done)

    def _progress(self, *parts: object) -> Progress:
        return Progress(*parts, console=self._console)  # type: ignore[arg-type]  # columns, each of a class of its own


def show_answers(console: Console, answers: Sequence[Beside], k: Mapping[str, int]) -> None:
    """Each answer as a table of its own, with why it differs from the truth; `k` by tier."""
    least = ", ".join(f"{number} for {tier}" for tier, number in sorted(k.items(), key=lambda item: item[1]))
    console.print()
    console.print("The answers beside the truth", style="bold")
    console.print(
        "The fleet is made up, so what is true is known: it is added up from the tasks, before anything is posted. An "
        "answer may tell less. Its cells are the numbers of one tier in one hour or day, and those of fewer than k "
        f"devices are left out (k is {least} devices). That the others are right was checked, each of them."
    )
    for answer in answers:
        console.print()
        console.print(answer.title, style="bold", end="  ")
        console.print(f"measure {answer.measure}", style="dim")
        if answer.rows:
            console.print(_table(answer))
        else:
            console.print("  (nothing: no cell has enough devices; more --devices change that)")
        console.print(answer.why, style="dim")


def _table(answer: Beside) -> Table:
    table = columns(*answer.columns)
    table.show_edge = False
    for column in table.columns[-answer.numbers :]:
        column.justify = "right"
    for row in answer.rows:
        table.add_row(*row)
    return table


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The account of the posts, and what was found."""
    account = outcome.account
    console.print()
    console.print("How it ended", style="bold")
    for number, told in (
        (outcome.tasks, f"tasks on {outcome.devices:,} made-up devices in three days"),
        (account.reports, "reports accepted, each of them durable"),
        (account.copies, "copies of them sent again, which the answers count once"),
        (account.refused.total(), "reports refused for a field that their tier forbids; sent again without it"),
        (account.in_doubt.total() + account.unsent.total(), "reports in doubt, or not let in"),
        (len(outcome.mismatches), "differences from the truth, in all cells counted and in all that are shown"),
        (len(outcome.searched.leaks), f"identifiers found in {len(outcome.searched.places)} places searched"),
        (len(outcome.searched.without_control), "places where a search for what has to be there found nothing"),
        (round(outcome.seconds), "seconds"),
    ):
        console.print(f"{number:>9,} {told}")
    for mismatch in outcome.mismatches:
        console.print(f"  differs: {mismatch}", style="red")
    for leak in outcome.searched.leaks:
        console.print(f"  leaked: {leak.planted}, {leak.form}, in {leak.place}", style="red")
    for place in outcome.searched.without_control:
        console.print(f"  not searched: {place}", style="red")
    if outcome.is_well:
        console.print("All is well.", style="bold green")
    else:
        console.print("Not all is well.", style="bold red")


def next_steps(stage: Stage, url: str, report: Path) -> Mapping[str, Mapping[str, str]]:
    """Kind of user -> what to try -> the command, while the product runs at `url`."""
    program, data = _program(), shlex.quote(str(stage.data))

    def ask(question: str, role: str) -> str:
        return f"{program} ask {question} --url {url} --token-file {shlex.quote(str(stage.token_file(role)))}"

    token = shlex.quote(str(stage.token_file("byod")))
    posted = shlex.quote(str(report))
    device = f"--directory {shlex.quote(str(stage.directory / 'device'))}"
    return {
        "Device engineer": {
            "what the gate would do with a report, without storing it": (
                f"curl -s -H \"Authorization: Bearer $(cat {token})\" -H 'Content-Type: application/json' \\\n"
                f"      --data-binary @{posted} '{url}/t/byod/v1/reports/{report.stem}?check=1'"
            ),
            "the same without a gate, and why each field goes": f"{program} strip byod {posted}",
            "one device more, set up here, and all that would leave it": (
                f"{program} agent init {url}/t/byod {device} < {token} \\\n"
                f"      && {program} agent show --sample {device}"
            ),
        },
        "Analyst": {
            "where tasks ran, region by region": ask("R1 --by route,region", "analyst"),
            "what moved against the day before": ask("F1 --by planned_route --last 1d --compare previous", "analyst"),
        },
        "Operator": {
            "how the follower stands": f"curl -s {url}/readyz/answers",
            "which model versions are wanted where": f"{program} manifest show --data {data}",
        },
        "Auditor": {
            "what was taken off, by field": ask("A1 --by field,action", "auditor"),
            "whether every report is accounted for": ask("A3 --by tier", "auditor"),
            "what happens to a field, tier by tier, and why": f"{program} policy explain managed device_id",
            "what is stored": f"{program} log tail {shlex.join(stage.log.where)}",
        },
    }


def show_next_steps(console: Console, steps: Mapping[str, Mapping[str, str]]) -> None:
    """The commands, each ready to be pasted."""
    console.print()
    console.print("Where to look next", style="bold")
    for who, commands in steps.items():
        console.print(f"\n  {who}")
        for told, command in commands.items():
            console.print(f"    {told}:", style="dim")
            for line in command.splitlines():
                console.print(f"      {line}", soft_wrap=True)
    console.print()


def _program() -> str:
    """How this program was called, so that a suggestion can be pasted into the same shell."""
    called = Path(sys.argv[0])
    if called.name != "tidegate":
        return "python -m tidegate"
    return "tidegate" if shutil.which("tidegate") == str(called) else shlex.quote(str(called))
