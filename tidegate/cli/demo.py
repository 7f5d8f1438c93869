"""`tidegate demo`: a gate of its own, a few reports, and what became of them, for a person who sees this first."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.access.tokens import TokenStore
from ingest.clock import SystemClock
from ingest.log.embedded import EmbeddedLogReader, PartitionStats
from schemas.catalogue import Catalogue, load_catalogue
from tidegate.child_gate import ChildGate, GateFailed, child_gate, interrupt, last_words, signals
from tidegate.cli.contracts import loosest_first
from tidegate.cli.demo_posts import BY_HAND, Post, by_hand, posts
from tidegate.cli.log import show_stats
from tidegate.cli.log_values import Decoder
from tidegate.cli.page import columns, page
from tidegate.cli.record_text import by_action
from tidegate.settings import LOG_DIRECTORY

DAY_MS = 86_400_000
REQUEST_SECONDS = 30
ENOUGH_ENTRIES = 1_000

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.*")
LONG_ID = re.compile(r"[0-9a-f]{32}")

Answer = tuple[int, dict[str, Any]]


@click.command("demo", short_help="Start a gate, post a few reports, show what became of them.")
@click.option("--once", is_flag=True, help="End after printing, instead of serving until Ctrl-C.")
def demo(once: bool) -> None:
    """Start a gate on a free port, post a few reports to it, and show what became of them.

    Everything is made for this one run, in a temporary directory that is removed at the end: the gate's data, a token
    for each tier, and the reports, which are made up. Nothing leaves this machine.

    \b
    Examples:
      tidegate demo
      tidegate demo --once

    Exit codes: 0 done, Ctrl-C included; 1 the gate could not start or failed; 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    try:
        console = page()
        with signals(interrupt), _directory() as directory:
            _run(directory, console, once=once)
        # Without --once it serves until Ctrl-C, and does not come here.
        console.print("The gate has ended and its directory is removed.", style="bold")
        _show_next_steps(console, _steps_without_gate())
    except KeyboardInterrupt:
        click.echo("\nStopped; the demonstration's directory is gone.", err=True)
    except GateFailed as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(directory: Path, console: Console, *, once: bool) -> None:
    catalogue = load_catalogue()
    now = SystemClock().now_ms()
    data, gate_log = directory / "data", directory / "gate.log"
    tokens = _make_tokens(data, catalogue)
    _write_files(directory, tokens, now)
    console.print(f"Starting a gate with its data in {data}", soft_wrap=True)
    with child_gate(data, stderr=gate_log) as gate:
        console.print(f"It takes reports at {gate.url}, for the tiers {', '.join(loosest_first(catalogue.tiers))}.")
        posted = list(posts(catalogue, now=now))
        answers = [_post(gate, gate_log, post, tokens[post.tier]) for post in posted]
        console.print()
        console.print(f"{len(posted)} posts, and what the gate answered", style="bold")
        console.print(_posts_table(posted, answers))
        _show_log(console, data, catalogue, by_hand(now))
        if not once:
            _show_next_steps(console, _steps(directory, gate.url))
            _serve(console, gate, gate_log)


def _make_tokens(data: Path, catalogue: Catalogue) -> dict[str, str]:
    with closing(TokenStore(data / TOKENS_FILE, SystemClock())) as store:
        return {
            tier: store.new(tier=tier, kind="device", label="demo", lifetime_ms=DAY_MS).text for tier in catalogue.tiers
        }


def _write_files(directory: Path, tokens: Mapping[str, str], now: int) -> None:
    """What the commands that are suggested at the end work on."""
    (directory / f"{BY_HAND}.json").write_text(json.dumps(by_hand(now), indent=2) + "\n", encoding="utf-8")
    for tier, token in tokens.items():
        (directory / f"{tier}.header").write_text(f"Authorization: Bearer {token}\n", encoding="utf-8")


def _post(gate: ChildGate, gate_log: Path, post: Post, token: str) -> Answer:
    request = urllib.request.Request(  # noqa: S310 - the URL is that of the gate that was just started
        f"{gate.url}/t/{post.tier}/v1/reports/{post.report}",
        data=post.body,
        headers={"Content-Type": post.media_type, "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310 - as above
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        raise GateFailed(f"the gate stopped answering:\n{last_words(gate_log)}") from None


def _posts_table(posted: Sequence[Post], answers: Sequence[Answer]) -> Table:
    table = columns("posted to", "answer, and what was taken off")
    table.columns[0].no_wrap = True
    for post, (status, document) in zip(posted, answers, strict=True):
        told = Text(f"{post.tier}  {post.report}").append(f"\n{post.told}", style="dim")
        table.add_row(told, Text("\n").join(_answer(status, document)), end_section=True)
    return table


def _answer(status: int, document: dict[str, Any]) -> Iterator[Text]:
    if "accepted" not in document:
        at = f" at {document['path']}" if "path" in document else ""
        yield Text(f"{status} {document['reason']}{at}", style="red")
        yield Text(document["title"], style="dim")
        return
    yield Text(f"{status}, {document['accepted']} accepted", style="green")
    for refused in document["rejected"]:
        yield Text(f"number {refused['index'] + 1} rejected: {refused['reason']}", style="red")
    for line in by_action((told["field"], told["action"]) for told in document["taken_off"]):
        yield Text(line, style="dim")
    if unknown := document["unknown_names"]:
        yield Text(f"forgotten: {unknown} {'name' if unknown == 1 else 'names'} of no schema", style="dim")


def _show_log(console: Console, data: Path, catalogue: Catalogue, sent: dict[str, Any]) -> None:
    stats, stored = asyncio.run(_read(data, catalogue, bytes.fromhex(sent["report_id"])))
    console.print(f"The {BY_HAND} typed by hand, as each tier's policy left it in the log", style="bold")
    console.print(_kept_table(sent, stored))
    console.print("To contractor it was posted a second time without user_email, which that tier refuses.", style="dim")
    console.print()
    console.print("The log, read by this process while the gate runs", style="bold")
    show_stats(console, stats)


async def _read(
    data: Path, catalogue: Catalogue, report_id: bytes
) -> tuple[Sequence[PartitionStats], dict[str, Mapping[str, Any]]]:
    """What the log holds, and the stored form of one report by tier."""
    reader, decoder = EmbeddedLogReader(data / LOG_DIRECTORY), Decoder(catalogue)
    try:
        topics = {plan.topic: tier for (tier, _), plan in catalogue.plans.items()}
        found: dict[str, Mapping[str, Any]] = {}
        for partition in await reader.partitions():
            for one in await reader.read(partition, after=-1, limit=ENOUGH_ENTRIES):
                if one.entry.key == report_id:
                    found[topics[partition.topic]] = decoder.decode(one.entry.value).values
        return await reader.stats(), {tier: found[tier] for tier in loosest_first(catalogue.tiers) if tier in found}
    finally:
        await reader.close()


def _kept_table(sent: dict[str, Any], stored: dict[str, Mapping[str, Any]]) -> Table:
    table = columns("field", "sent", *stored)
    table.columns[0].no_wrap = True
    for name, value in sent.items():
        table.add_row(name, _shown(value), *(_shown(values.get(name)) for values in stored.values()))
    return table


def _shown(value: Any) -> Text:
    """A value of the demonstration's own report, short: of a time the hour and minutes, of a long id its beginning."""
    if value is None:
        return Text("-", style="red")
    if not isinstance(value, str):
        return Text(json.dumps(value))
    if TIME.fullmatch(value):
        return Text(value[11:16])
    return Text(f"{value[:8]}..." if LONG_ID.fullmatch(value) else value)


def _steps(directory: Path, url: str) -> dict[str, str]:
    """What to try while the gate runs: what a command is for, and the command."""
    program, data = _program(), shlex.quote(str(directory / "data"))
    report, header = shlex.quote(str(directory / f"{BY_HAND}.json")), shlex.quote(f"@{directory / 'managed.header'}")
    return {
        "Ask the gate what it would do with that report, without storing it": (
            f"curl -s -H {header} -H 'Content-Type: application/json' \\\n"
            f"    --data-binary @{report} '{url}/t/managed/v1/reports/{BY_HAND}?check=1'"
        ),
        "The same without a gate, and why each field goes": f"{program} strip byod {report}",
        "What a tier keeps": f"{program} policy show byod",
        "What happens to one field, tier by tier": f"{program} policy explain managed device_id",
        "What was stored; --follow goes on with what you post": f"{program} log tail --data {data}",
        "What the gate says about itself": f"curl -s {url}/metrics",
    }


def _steps_without_gate() -> dict[str, str]:
    """As `_steps`, of what needs neither the gate nor its directory."""
    program, file = _program(), f"{BY_HAND}.json"
    return {
        "What would become of a report, and why each field goes": (
            f"{program} schema show {BY_HAND} --example > {file}\n{program} strip byod {file}"
        ),
        "What a tier keeps": f"{program} policy show byod",
        "What happens to one field, tier by tier": f"{program} policy explain managed device_id",
    }


def _show_next_steps(console: Console, steps: Mapping[str, str]) -> None:
    console.print()
    console.print("Where to look next", style="bold")
    for told, command in steps.items():
        console.print(f"\n  {told}:", style="dim")
        for line in command.splitlines():
            console.print(f"    {line}", soft_wrap=True)
    console.print()


def _program() -> str:
    """How this program was called, so that a suggestion can be pasted into the same shell."""
    called = Path(sys.argv[0])
    if called.name != "tidegate":
        return "python -m tidegate"
    return "tidegate" if shutil.which("tidegate") == str(called) else shlex.quote(str(called))


def _serve(console: Console, gate: ChildGate, gate_log: Path) -> None:
    console.print("The gate goes on until Ctrl-C; then its directory is removed.", style="bold")
    while True:
        try:
            gate.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
        raise GateFailed(f"the gate ended by itself:\n{last_words(gate_log)}")
