"""`tidegate key`: the keys that pseudonyms are made with."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from ingest.clock import SystemClock, iso_utc
from ingest.keys import DIRECTORY_NAME, INDEX_NAME, EpochRecord, Keyring
from ingest.state_file import StateFileError
from schemas.errors import nearest
from tidegate.cli.data_directory import data_option, json_option, require_file


@click.group("key")
def key_group() -> None:
    """List and destroy the keys that pseudonyms are made with.

    A tier that pseudonymises has one key per epoch; the gate makes it when it is first needed and destroys it by itself
    once the epoch and the tier's horizon are past. Back up the keys apart from the log, and for no longer than that: a
    copy of a key undoes its destruction.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """


@key_group.command("list")
@data_option
@json_option
def list_keys(data: Path, as_json: bool) -> None:
    """List every epoch that ever had a key.

    Never a key itself. The state is usable, destroyed, or missing: made, but its file is gone, so that the gate
    answers 503 until the file is restored or the epoch destroyed. Times are UTC; an epoch ends where the next begins.

    \b
    Examples:
      tidegate key list --data /var/lib/tidegate
      tidegate key list --data ./data --json
    """  # noqa: D301 - \b keeps click from joining the lines
    with _keyring(data) as keyring:
        records = keyring.epochs()
    if as_json:
        click.echo(json.dumps([_document(record) for record in records], indent=2))
    elif not records:
        click.echo("no key was made yet; the gate makes one when a report first needs a pseudonym", err=True)
    else:
        Console().print(_table(records))


@key_group.command("destroy")
@data_option
@click.argument("tier")
@click.argument("epoch")
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(data: Path, tier: str, epoch: str, yes: bool) -> None:
    """Destroy the key of an epoch for ever.

    It says first what becomes unlinkable, and asks. EPOCH is written as `tidegate key list` shows it: its first day
    and its length.

    \b
    Example:
      tidegate key destroy --data ./data managed 2026-10-06.30d
    """  # noqa: D301 - as above
    with _keyring(data) as keyring:
        record = _find(keyring.epochs(), tier, epoch)
        if record.destroyed is None:
            click.echo(consequences(record, SystemClock().now_ms()), err=True)
            if not yes:
                click.confirm(f"Destroy the key of {tier} {epoch}?", abort=True, err=True)
        keyring.destroy(tier, record.epoch)
        record = _find(keyring.epochs(), tier, epoch)
    click.echo(f"The key of {tier} {epoch} is destroyed (since {iso_utc(record.destroyed or 0)}).")


def consequences(record: EpochRecord, now_ms: int) -> str:
    """What a person must know before a key is destroyed."""
    start, end = iso_utc(record.epoch.start_ms), iso_utc(record.epoch.end_ms)
    lines = [
        f"Tier {record.tier}, windows from {start} to {end}:",
        "- pseudonyms of these windows stay where they are stored, but nobody can tell any more whose they are,",
        "  nor link them to the pseudonyms of any other epoch;",
        "- reports for these windows that arrive later are refused for good (422 epoch_closed): devices discard them;",
        "- it cannot be undone. Copies of the key in backups must be destroyed as well.",
    ]
    if now_ms < record.epoch.end_ms:
        lines.append(
            f"THE EPOCH STILL RUNS: until {end} the gate refuses every report of this tier with a pseudonym in it."
        )
    return "\n".join(lines)


@contextmanager
def _keyring(data: Path) -> Iterator[Keyring]:
    directory = data / DIRECTORY_NAME
    require_file(directory / INDEX_NAME, made_by="`tidegate serve`")
    try:
        with closing(Keyring(directory, SystemClock())) as keyring:
            yield keyring
    except StateFileError as error:
        raise click.ClickException(str(error)) from None
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(f"{directory} cannot be used ({error}); see `tidegate key list`") from None


def _find(records: list[EpochRecord], tier: str, epoch: str) -> EpochRecord:
    of_tier = {str(record.epoch): record for record in records if record.tier == tier}
    if not of_tier:
        known = nearest(tier, {record.tier for record in records}) if records else "no tier has"
        raise click.ClickException(f"no key was ever made for a tier {tier!r}; {known}")
    if epoch not in of_tier:
        raise click.ClickException(f"tier {tier} has no epoch {epoch!r}; {nearest(epoch, of_tier)}")
    return of_tier[epoch]


def _document(record: EpochRecord) -> dict[str, object]:
    return {
        "tier": record.tier,
        "epoch": str(record.epoch),
        "start": iso_utc(record.epoch.start_ms),
        "end": iso_utc(record.epoch.end_ms),
        "state": record.state,
        "made": iso_utc(record.made),
        "destroyed": None if record.destroyed is None else iso_utc(record.destroyed),
    }


def _table(records: list[EpochRecord]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("tier", "epoch", "ends (UTC)", "state", "destroyed (UTC)"):
        table.add_column(column, no_wrap=True)
    for record in records:
        destroyed = "" if record.destroyed is None else iso_utc(record.destroyed)
        table.add_row(record.tier, str(record.epoch), iso_utc(record.epoch.end_ms), record.state, destroyed)
    return table
