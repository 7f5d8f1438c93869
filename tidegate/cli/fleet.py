"""`tidegate fleet`: a made-up fleet posts three days of reports to a running gate, and an honest account is given."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from load.fleet.account import Account
    from load.fleet.batches import Phase
    from load.fleet.connection import Address
    from load.fleet.delivery import Sender
    from load.fleet.nouns import Fleet

TOKEN_LIFETIME_MS = 86_400_000
LABEL = "tidegate fleet"


class TokenFile(click.ParamType[tuple[str, Path]]):
    """`managed=FILE`: the tier, and a file that holds its token alone."""

    name = "tier=file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        tier, equals, file = str(value).partition("=")
        if not (tier and equals and file):
            self.fail("write it as TIER=FILE, such as managed=./managed.token", param, ctx)
        return tier, Path(file)


class GateUrl(click.ParamType["Address"]):
    """The URL of a gate."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Address":
        from load.fleet.connection import Address, address_of

        if isinstance(value, Address):
            return value
        try:
            return address_of(str(value))
        except ValueError as error:
            self.fail(f"that is no URL of a gate ({error})", param, ctx)


@click.command("fleet", short_help="Post a made-up fleet's reports to a running gate.")
@click.option("--url", "address", type=GateUrl(), help="The gate, as it says itself when it starts.")
@click.option("--token", "token_files", type=TokenFile(), multiple=True, help="A token of each tier, alone in a file.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The gate's data directory instead of tokens: a token for each tier is made there, and revoked at the end.",
)
@click.option("--devices", type=click.IntRange(1, 100_000), default=2_000, show_default=True, help="How many devices.")
@click.option("--days", type=click.IntRange(1, 30), default=3, show_default=True, help="How many days, up to now.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed within the same hour makes the same fleet."
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV of real arrivals (TIMESTAMP,ContextTokens,GeneratedTokens).  [default: made up, of the same shape]",
)
@click.option("--connections", type=click.IntRange(1, 64), default=4, show_default=True, help="How many at once.")
@click.option(
    "--write-manifest", type=click.Path(path_type=Path, dir_okay=False), help="Write the fleet's manifest there."
)
@click.option("--write-prices", type=click.Path(path_type=Path, dir_okay=False), help="Write its prices there.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
def fleet_command(
    address: "Address | None",
    token_files: tuple[tuple[str, Path], ...],
    data: Path | None,
    devices: int,
    days: int,
    seed: int,
    trace: Path | None,
    connections: int,
    write_manifest: Path | None,
    write_prices: Path | None,
    as_json: bool,
) -> None:
    """Post the reports of a made-up fleet to a running gate.

    About three quarters of the devices are laptops, the others workstations, of all three tiers and in five regions.
    Some reports come late, some twice, some hold what their tier refuses, and most hold identifiers, as those of real
    agents do. Nothing about any real device is in them. Posting the same seed again within the hour posts the same
    reports, which the gate's readers count once.

    A model or region that the gate's manifest does not name reads "other", so post the fleet's own manifest first.

    \b
    Examples:
      tidegate fleet --write-manifest manifest.toml --write-prices prices.toml
      tidegate fleet --url http://127.0.0.1:8080 --data ./data --devices 200
      tidegate fleet --url https://gate.example --token managed=m.token --token byod=b.token --token contractor=c.token

    Exit codes: 0 every report was accepted; 1 some were not, or Ctrl-C; 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    _write_documents(write_manifest, write_prices)
    if address is None:
        if write_manifest is None and write_prices is None:
            raise click.UsageError("say with --url which gate to post to, or what to write")
        return
    given = _given_tokens(token_files, data)
    fleet = _made(devices=devices, days=days, seed=seed, trace=trace)
    with nullcontext(given) if data is None else _issued_tokens(data) as tokens:
        from load.fleet.delivery import Sender

        account, left = _post(fleet, Sender(address, tokens, connections), quiet=as_json)
    _show(account, left=left, as_json=as_json)
    if left or not account.is_whole:
        raise click.exceptions.Exit(1)


def _write_documents(manifest: Path | None, prices: Path | None) -> None:
    from load.fleet.models import manifest_document, prices_document
    from schemas.manifest import Manifest
    from schemas.prices import Prices
    from tidegate.cli.operator_toml import manifest_toml, prices_toml

    if manifest is not None:
        _write(manifest, manifest_toml(Manifest.model_validate(manifest_document())), "manifest")
    if prices is not None:
        _write(prices, prices_toml(Prices.model_validate(prices_document())), "prices")


def _write(file: Path, text: str, kind: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written ({error.strerror})") from None
    click.echo(f"{file} is written; `tidegate {kind} put {file} --data DIR --from TIME` posts it.", err=True)


def _made(*, devices: int, days: int, seed: int, trace: Path | None) -> "Fleet":
    from ingest.clock import SystemClock
    from load.fleet.scenario import make_fleet
    from load.fleet.trace import TraceError

    click.echo(f"Making {devices:,} devices and their {days} days.", err=True)
    try:
        return make_fleet(devices=devices, seed=seed, now_ms=SystemClock().now_ms(), trace=trace, days=days)
    except TraceError as error:
        raise click.ClickException(str(error)) from None


def _given_tokens(files: tuple[tuple[str, Path], ...], data: Path | None) -> Mapping[str, str]:
    """The tokens in the files, one for each tier; none where they are to be made in a data directory."""
    from ingest.access.tokens import FILE_NAME
    from schemas.catalogue import load_catalogue
    from tidegate.cli.data_directory import require_file

    if (data is None) == (not files):
        raise click.UsageError("give either a --token for each tier, or the gate's --data directory")
    if data is not None:
        require_file(data / FILE_NAME, made_by="`tidegate serve`")
        return {}
    given = {tier: _read_token(file) for tier, file in files}
    tiers = load_catalogue().tiers
    if set(given) != set(tiers):
        raise click.UsageError(f"one --token for each of {', '.join(sorted(tiers))} is needed, and no other")
    return given


def _read_token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"{file} cannot be read as a token; check --token") from None
    if not token.startswith("tg_") or not token.isprintable() or " " in token:
        raise click.ClickException(f"{file} does not hold a token alone; `tidegate token new` prints one")
    return token


@contextmanager
def _issued_tokens(data: Path) -> Iterator[Mapping[str, str]]:
    """A new token for each tier, which ends with the block."""
    from ingest.access.tokens import FILE_NAME, TokenStore
    from ingest.clock import SystemClock
    from ingest.state_file import StateFileError
    from schemas.catalogue import load_catalogue

    try:
        with closing(TokenStore(data / FILE_NAME, SystemClock())) as store:
            issued = {
                tier: store.new(tier=tier, kind="class", label=LABEL, lifetime_ms=TOKEN_LIFETIME_MS)
                for tier in load_catalogue().tiers
            }
            try:
                yield {tier: one.text for tier, one in issued.items()}
            finally:
                for one in issued.values():
                    store.revoke(one.token.id)
    except StateFileError as error:
        raise click.ClickException(str(error)) from None


def _post(fleet: "Fleet", sender: "Sender", *, quiet: bool) -> tuple["Account", int]:
    """The account, and how many messages were left where Ctrl-C came before the end."""
    from load.fleet.account import Account
    from load.fleet.batches import make_phases
    from load.fleet.connection import NoAnswer
    from load.fleet.delivery import TokenRefused
    from schemas.catalogue import load_catalogue

    account = Account()
    phases = make_phases(fleet, load_catalogue())
    try:
        with _progress(phases, quiet=quiet) as told:
            asyncio.run(_deliver(phases, sender, account, told))
    except KeyboardInterrupt:
        click.echo(err=True)
    except TokenRefused as error:
        raise click.ClickException(str(error)) from None
    except NoAnswer:
        raise click.ClickException("nobody answers at --url; is the gate running there?") from None
    return account, sum(phase.messages for phase in phases) - account.settled


async def _deliver(
    phases: "tuple[Phase, ...]", sender: "Sender", account: "Account", told: Callable[[str, int], None]
) -> None:
    from load.fleet.delivery import deliver, require_tokens

    await require_tokens(sender)
    for phase in phases:
        await deliver(phase.batches, sender, account=account, progress=partial(told, phase.name))


@contextmanager
def _progress(phases: "tuple[Phase, ...]", *, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """A bar a phase, on stderr: to be told the phase and how many more of its messages came to an end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks = {phase.name: bars.add_task(phase.name, total=phase.messages) for phase in phases}
        yield lambda name, done: bars.advance(tasks[name], done)


def _show(account: "Account", *, left: int, as_json: bool) -> None:
    document = {**account.document(), "left": left}
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    if left:
        click.echo(f"Stopped with {left:,} messages not posted yet; this is what was done so far.")
    for line in _lines(document):
        click.echo(line)


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"{document['reports']:>9,} reports accepted, each of them durable"
    yield f"{document['copies']:>9,} copies of them, accepted as well; readers count such once"
    yield f"{document['refused_as_meant']:>9,} refused because they were made to be, and sent again without the field"
    refused = sum(document["refused"].values()) - document["refused_as_meant"]
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in document["refused"].items())
    yield f"{refused:>9,} others refused" + (f" (all refusals: {reasons})" if refused else "")
    yield f"{document['in_doubt']:>9,} in doubt: sent, and nobody knows whether they arrived"
    if document["unsent"]:
        yield f"{document['unsent']:>9,} never let in"
    asked_to_wait = sum(document["turned_away"].values())
    again = f"{document['resent']:,} of them again, {asked_to_wait:,} because the gate was too busy"
    yield f"{document['requests']:>9,} requests, {again}"
