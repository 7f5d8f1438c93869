"""`tidegate log`: read the log, beside the gate that writes it."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from rich.console import Console
from rich.text import Text

from ingest.clock import iso_utc
from ingest.log import LogUnavailable
from ingest.log.partition_stats import PartitionStats
from ingest.log.sqlite_file import CannotOpenLog
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Partition, StoredEntry
from ingest.schema_topic import stored_schemas
from tidegate.cli.contracts import contracts, tiers_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.log_options import log_options, log_settings
from tidegate.cli.log_values import Decoded, Decoder
from tidegate.cli.page import columns, page, wrapped
from tidegate.cli.record_text import record_lines
from tidegate.log_source import ShownReader, open_reader
from tidegate.settings import LogSettings

T = TypeVar("T")

BATCH = 500
POLL_SECONDS = 0.5


EVERY_TOPIC = "*"
"""Without a choice of topics, the schemas are left out: nobody who looks at the newest records means them."""


@click.group("log")
def log_group() -> None:
    """Read what the gate has stored.

    Both commands only read, while the gate runs or after it: the embedded log of a data directory, or with --log kafka
    the topics of a cluster, which is reached as `tidegate serve` reaches it. What is in it has been stripped already.

    Exit codes: 0 done, 1 the log cannot be read, 2 wrong usage.
    """


@log_group.command("tail")
@log_options
@click.option(
    "--topic",
    default=EVERY_TOPIC,
    help="Only topics that match, such as 'tidegate.byod.*'.  [default: all but tidegate.schemas]",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the newest entries."
)
@click.option("--follow", is_flag=True, help="Go on with what is appended from now on, until Ctrl-C.")
@tiers_option
@json_option
def tail(
    *, topic: str, limit: int, follow: bool, tiers: Path, as_json: bool, config: Path | None, **flags: Any
) -> None:
    """Print the newest entries of the log, oldest of them first.

    Between topics, entries go by their record's time, which a tier may let tell the hour only.

    Values are decoded under the output schemas of the policies and of the gates' outcomes (topic tidegate.control); of
    a value that none of them wrote, the fingerprint and the length are shown. --json prints one document a line.

    \b
    Examples:
      tidegate log tail --data ./data
      tidegate log tail --data ./data --topic 'tidegate.managed.*' --follow
      tidegate log tail --data ./data --limit 1000 --json > entries.jsonl
      tidegate log tail --log kafka --kafka-bootstrap 127.0.0.1:9092

    Exit codes: 0 done, Ctrl-C during --follow included; 1 the log cannot be read; 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    settings = log_settings(flags, config)
    decoder = Decoder(contracts(tiers))
    show = _Json(decoder) if as_json else _Text(decoder)
    _run(_tail(settings, _Look(topic, show, decoder), limit=limit, follow=follow), settings)


@log_group.command("stats")
@log_options
@json_option
def stats(*, as_json: bool, config: Path | None, **flags: Any) -> None:
    """Say what each partition of the log holds.

    Entries, the bytes of their values, and offset and time of the first and the last one. Every entry is looked at, so
    a large log takes a while.

    \b
    Examples:
      tidegate log stats --data ./data
      tidegate log stats --data ./data --json
      tidegate log stats --config gate.toml

    Exit codes: 0 done, 1 the log cannot be read, 2 wrong usage.
    """  # noqa: D301 - as above
    settings = log_settings(flags, config)
    found = _run(_stats(settings), settings)
    if as_json:
        click.echo(json.dumps([_document(one) for one in found], indent=2))
    else:
        show_stats(page(), found)


def _run(work: Coroutine[Any, Any, T], settings: LogSettings) -> T:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:  # how a person ends --follow
        raise click.exceptions.Exit(0) from None
    except (LogUnavailable, CannotOpenLog) as error:
        raise click.ClickException(str(error) if settings.log == "kafka" else f"{error}; check --data") from None


async def _stats(settings: LogSettings) -> Sequence[PartitionStats]:
    reader = open_reader(settings)
    try:
        return await reader.stats()
    finally:
        await reader.close()


async def _tail(settings: LogSettings, look: "_Look", *, limit: int, follow: bool) -> None:
    reader = open_reader(settings)
    try:
        await _Tail(reader, look).run(limit=limit, follow=follow)
    finally:
        await reader.close()


def _document(one: PartitionStats) -> dict[str, Any]:
    return {
        "topic": one.partition.topic,
        "partition": one.partition.number,
        "entries": one.entries,
        "value_bytes": one.value_bytes,
        "first_offset": one.first_offset,
        "last_offset": one.last_offset,
        "first_time": iso_utc(one.first_timestamp),
        "last_time": iso_utc(one.last_timestamp),
    }


def show_stats(console: Console, found: Sequence[PartitionStats]) -> None:
    """Print what each partition holds, and the sum."""
    table = columns("topic/partition, its offsets and times (UTC)", "entries", "bytes")
    for index in (1, 2):
        table.columns[index].justify = "right"
    for one in found:
        name = Text(f"{one.partition.topic}/{one.partition.number}")
        name.append(f"\n{one.first_offset} to {one.last_offset}, ", style="dim")
        name.append(f"{iso_utc(one.first_timestamp)} to {iso_utc(one.last_timestamp)}", style="dim")
        table.add_row(name, f"{one.entries:,}", f"{one.value_bytes:,}")
    console.print(table)
    entries, size = sum(one.entries for one in found), sum(one.value_bytes for one in found)
    console.print(f"{entries:,} entries, {size:,} bytes of values")


class _Look(NamedTuple):
    """What a person wants to see, and how."""

    topic: str
    show: "_Json | _Text"
    decoder: Decoder


class _Tail:
    """The newest entries of the topics that match, and those that follow them."""

    def __init__(self, reader: ShownReader, look: _Look) -> None:
        self._reader = reader
        self._topic, self._show, self._decoder = look
        self._after: dict[Partition, int] = {}

    async def run(self, *, limit: int, follow: bool) -> None:
        await self._newest(limit)
        while follow:
            if not await self._further():
                await asyncio.sleep(POLL_SECONDS)

    async def _newest(self, limit: int) -> None:
        found = []
        partitions = await self._partitions()
        if not partitions and self._topic != EVERY_TOPIC:
            click.echo(f"no topic matches {self._topic}; `tidegate log stats` lists them", err=True)
        for partition in partitions:
            self._after[partition] = await self._reader.before_newest(partition, entries=limit)
            found += await self._read(partition)
        await self._print(sorted(found, key=_record_time)[len(found) - min(limit, len(found)) :])

    async def _further(self) -> bool:
        """Show what came since the last look."""
        found = [one for partition in await self._partitions() for one in await self._read(partition)]
        await self._print(sorted(found, key=_record_time))
        return bool(found)

    async def _print(self, found: list[tuple[Partition, StoredEntry]]) -> None:
        if found:
            self._decoder.learn(await stored_schemas(self._reader))
        for partition, entry in found:
            self._show.entry(partition, entry)

    async def _partitions(self) -> list[Partition]:
        chosen = [one for one in await self._reader.partitions() if fnmatchcase(one.topic, self._topic)]
        return chosen if self._topic != EVERY_TOPIC else [one for one in chosen if one.topic != SCHEMAS_TOPIC]

    async def _read(self, partition: Partition) -> list[tuple[Partition, StoredEntry]]:
        found: list[tuple[Partition, StoredEntry]] = []
        while True:
            after = self._after.get(partition, -1)
            entries = await self._reader.read(partition, after=after, limit=BATCH)
            if not entries:
                return found
            self._after[partition] = entries[-1].offset
            found += [(partition, entry) for entry in entries]


def _record_time(found: tuple[Partition, StoredEntry]) -> tuple[int, Partition, int]:
    """What entries of several partitions are sorted by; there is no other order between partitions, on purpose."""
    partition, stored = found
    return stored.entry.timestamp, partition, stored.offset


class _Json:
    """Entries as JSON, one document a line."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def entry(self, partition: Partition, stored: StoredEntry) -> None:
        entry = stored.entry
        document = {
            "topic": partition.topic,
            "partition": partition.number,
            "offset": stored.offset,
            "time": iso_utc(entry.timestamp),
            "key": readable_key(entry.key),
            "headers": {name: value.decode("utf-8", "replace") for name, value in entry.headers},
            **self._decoder.decode(entry.value).document,
        }
        click.echo(json.dumps(document))


class _Text:
    """Entries as text: a line of what it is, its values, and what was taken off."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._console = page()

    def entry(self, partition: Partition, stored: StoredEntry) -> None:
        entry, console = stored.entry, self._console
        decoded = self._decoder.decode(entry.value)
        console.print(
            f"{stored.offset}  {partition.topic}/{partition.number}  {iso_utc(entry.timestamp)}", style="bold"
        )
        self._lines(f"key {readable_key(entry.key)}, {len(entry.value):,} bytes, {decoded.what}")
        self._values(decoded)
        console.print()

    def _values(self, decoded: Decoded) -> None:
        for line in record_lines(decoded.values, width=self._console.width, indent="  "):
            self._console.print(line)
        for line in decoded.taken_off:
            self._lines(line)

    def _lines(self, text: str) -> None:
        for line in wrapped(text, self._console.width, indent="  "):
            self._console.print(line, style="dim")


def readable_key(key: bytes) -> str:
    """A key as text: a gate's id is text already, a report's id is shown in hexadecimal."""
    text = key.decode("ascii", "replace")
    return text if len(key) > 16 and text.isalnum() and text.isascii() else key.hex()
