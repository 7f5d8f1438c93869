"""What `tidegate manifest` and `tidegate prices` have in common: dated documents in a gate's data directory.

Rules: what changes is shown before anything is said to be done; nothing is ever overwritten, so nothing asks; a time
that has passed is allowed, and what it does not mend is said.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import click
from pydantic import ValidationError

from ingest.clock import SystemClock, iso_utc
from ingest.coarsen import ceil_hour
from ingest.operator_documents import FILE_NAME, DocumentKind, DocumentVersion, OperatorDocuments
from ingest.state_file import StateFileError
from schemas.errors import ContractError
from schemas.operator_names import Facts
from tidegate.cli.data_directory import require_file
from tidegate.cli.page import columns, page
from tidegate.cli.strip import Moment

MAX_LINES = 60
"""Changes that are shown one by one; a first manifest may have thousands."""

file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
from_option = click.option(
    "--from",
    "since",
    type=Moment(),
    metavar="TIME",
    help="From when on it is in force, such as 2026-12-01T00:00:00Z; it may have passed.  [default: now]",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Check the file and show what would change; record nothing."
)
at_option = click.option("--at", type=Moment(), metavar="TIME", help="In force at that time.  [default: now]")
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["toml", "json"]),
    default="toml",
    show_default=True,
    help="toml can be edited and put again; json has its number and times as well.",
)


class OperatorDocument(Protocol):
    """A manifest, or a list of prices."""

    def facts(self) -> Facts: ...

    def model_dump(self, *, mode: str, exclude_defaults: bool) -> dict[str, Any]: ...


Document = TypeVar("Document", bound=OperatorDocument)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Document]):
    """One kind of document: how it is called, loaded from a file, read from the store, and written as TOML.

    `takes_effect` says what follows where it is in force at once, `stays` what a time that has passed does not change;
    `doubts` says what may be a mistake in view of what else is in force (at a time in ms).
    """

    name: DocumentKind
    load: Callable[[Path], Document]
    read: Callable[[Any], Document]
    toml: Callable[[Document], str]
    takes_effect: str
    stays: str
    doubts: Callable[[Document, OperatorDocuments, int], Iterable[str]]


def put(kind: Kind[Document], file: Path, *, data: Path, since: int | None, dry_run: bool) -> None:
    """Show what `file` changes against what is in force at `since` (ms; None is now), and record it."""
    document = _loaded(kind, file)
    now = SystemClock().now_ms()
    at = now if since is None else since
    if dry_run and not (data / FILE_NAME).is_file():  # opening it would make it
        _tell_changes(kind, None, {}, document.facts(), at)
        click.echo("Nothing was recorded.")
        return
    with store(data / FILE_NAME) as documents:
        standing = documents.in_force(kind.name, at)
        before = {} if standing is None else _read(kind, standing).facts()
        if standing is not None and before == document.facts():
            click.echo(f"At {iso_utc(at)} {_title(standing)} is in force, and says the same. Nothing was recorded.")
            return
        _tell_changes(kind, standing, before, document.facts(), at)
        for doubt in kind.doubts(document, documents, at):
            click.echo(f"Note: {doubt}", err=True)
        if dry_run:
            click.echo("Nothing was recorded.")
            return
        made = documents.put(kind.name, document.model_dump(mode="json", exclude_defaults=True), at)
        _tell_made(kind, made, documents.history(kind.name), now)


def show(kind: Kind[Document], *, data: Path, at: int | None, form: str) -> None:
    """Print the document in force at `at` (ms; None is now)."""
    moment = SystemClock().now_ms() if at is None else at
    with store(_existing(kind, data)) as documents:
        found = documents.in_force(kind.name, moment)
        history = documents.history(kind.name)
    if found is None:
        raise click.ClickException(f"no {kind.name} was in force at {iso_utc(moment)}; {_makes_one(kind)}")
    if form == "json":
        click.echo(json.dumps({**_entry(found, history, moment), "document": found.document}, indent=2))
        return
    until = _until(found, history)
    end = "" if until is None else f" until {iso_utc(until)}"
    click.echo(f"# {_title(found)}, in force from {iso_utc(found.in_force)}{end}, recorded {iso_utc(found.recorded)}\n")
    click.echo(kind.toml(_read(kind, found)), nl=False)


def history(kind: Kind[Document], *, data: Path, as_json: bool) -> None:
    """Print every version, in the order in which they come into force, with what each changed."""
    now = SystemClock().now_ms()
    with store(_existing(kind, data)) as documents:
        versions = documents.history(kind.name)
    entries = [
        {**_entry(version, versions, now), "changes": changed}
        for version, changed in zip(versions, _changes_of(kind, versions), strict=True)
    ]
    if as_json:
        click.echo(json.dumps(entries, indent=2))
    elif not entries:
        click.echo(f"no {kind.name} was ever put; {_makes_one(kind)}", err=True)
    else:
        _print_history(entries)


def example(kind: Kind[Document]) -> None:
    """Print a file to begin with."""
    text = resources.files("schemas").joinpath("examples", f"{kind.name}.toml").read_text(encoding="utf-8")
    click.echo(text, nl=False)


@contextmanager
def store(file: Path) -> Iterator[OperatorDocuments]:
    """The documents in `file`; one that cannot be used ends the command with what to do about it."""
    try:
        with closing(OperatorDocuments(file, SystemClock())) as documents:
            yield documents
    except StateFileError as error:
        raise click.ClickException(str(error)) from None


def changes(before: Facts, after: Facts) -> list[str]:
    """What is new (+), gone (-) or another (~) from one document to the next, a line each."""
    return [
        *(f"+ {_said(key, value)}" for key, value in after.items() if key not in before),
        *(f"- {_said(key, value)}" for key, value in before.items() if key not in after),
        *(
            f"~ {_said(key, before[key] or 'nothing')} -> {value or 'nothing'}"
            for key, value in after.items()
            if key in before and before[key] != value
        ),
    ]


def _said(key: Sequence[str], value: str) -> str:
    return " ".join(key) + (f": {value}" if value else "")


def _loaded(kind: Kind[Document], file: Path) -> Document:
    try:
        return kind.load(file)
    except ContractError as error:
        raise click.ClickException(f"{file} cannot be put\n{error}") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None


def _read(kind: Kind[Document], version: DocumentVersion) -> Document:
    try:
        return kind.read(version.document)
    except ValidationError:
        raise click.ClickException(
            f"{_title(version)} was put by another version of tidegate, and this one does not understand it; "
            "use the newer one"
        ) from None


def _existing(kind: Kind[Document], data: Path) -> Path:
    return require_file(data / FILE_NAME, made_by=f"`tidegate {kind.name} put` and `tidegate serve`")


def _makes_one(kind: Kind[Document]) -> str:
    return f"`tidegate {kind.name} put FILE` posts one, and `tidegate {kind.name} example` prints one to begin with"


def _title(version: DocumentVersion) -> str:
    return f"{version.kind} {version.number}"


def _tell_changes(kind: Kind[Document], standing: DocumentVersion | None, before: Facts, after: Facts, at: int) -> None:
    lines = changes(before, after)
    against = f"no {kind.name}" if standing is None else _title(standing)
    click.echo(f"Against {against} in force at {iso_utc(at)}:")
    for line in lines[:MAX_LINES]:
        click.echo(f"  {line}")
    if len(lines) > MAX_LINES:
        click.echo(f"  and {len(lines) - MAX_LINES} more")


def _tell_made(kind: Kind[Document], made: DocumentVersion, versions: Sequence[DocumentVersion], now: int) -> None:
    click.echo(f"Recorded as {_title(made)}, in force from {iso_utc(made.in_force)}.")
    if (hour := ceil_hour(made.in_force)) != made.in_force:
        click.echo(f"Answers go by it from {iso_utc(hour)} on: an hour goes by what was in force when it began.")
    until = _until(made, versions)
    if until is not None:
        following = next(version for version in reversed(versions) if version.in_force == until)
        click.echo(f"From {iso_utc(until)} on {_title(following)} is in force instead.")
    if made.in_force < now:
        click.echo(f"That time has passed: {kind.stays}")
    if made.in_force <= now and (until is None or now < until):
        click.echo(kind.takes_effect)


def _until(version: DocumentVersion, versions: Sequence[DocumentVersion]) -> int | None:
    """When another version takes over from `version`; None where none does yet."""
    return min((other.in_force for other in versions if _comes_after(other, version)), default=None)


def _comes_after(other: DocumentVersion, version: DocumentVersion) -> bool:
    return (other.in_force, other.number) > (version.in_force, version.number)


def _entry(version: DocumentVersion, versions: Sequence[DocumentVersion], now: int) -> dict[str, Any]:
    until = _until(version, versions)
    return {
        "number": version.number,
        "state": _state(version.in_force, until, now),
        "in_force": iso_utc(version.in_force),
        "until": None if until is None else iso_utc(until),
        "recorded": iso_utc(version.recorded),
    }


def _state(since: int, until: int | None, now: int) -> str:
    if until == since:
        return "replaced"
    if now < since:
        return "to come"
    return "in force" if until is None or now < until else "past"


def _changes_of(kind: Kind[Document], versions: Sequence[DocumentVersion]) -> Iterator[list[str]]:
    before: Facts = {}
    for version in versions:
        after = _read(kind, version).facts()
        yield changes(before, after)
        before = after


def _print_history(entries: Sequence[dict[str, Any]]) -> None:
    table = columns("number", "state", "in force from (UTC)", "until", "recorded", "changes")
    for entry in entries:
        signs = [line[0] for line in entry["changes"]]
        counts = " ".join(f"{sign}{signs.count(sign)}" for sign in "+-~" if sign in signs)
        times = (entry["in_force"], entry["until"] or "", entry["recorded"])
        table.add_row(str(entry["number"]), entry["state"], *times, counts)
    page().print(table)
