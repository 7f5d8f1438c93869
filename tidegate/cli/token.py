"""`tidegate token`: who may post to which tier, and who may read answers."""

import json
import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.access.tokens import (
    EVERY_TIER,
    FILE_NAME,
    ID_LENGTH,
    ROLES,
    IssuedToken,
    Kind,
    Role,
    Token,
    TokenNotLiveError,
    TokenStore,
    UnknownTokenError,
)
from ingest.clock import SystemClock, iso_utc
from ingest.state_file import StateFileError
from schemas.errors import ContractError, nearest
from schemas.tier import TokenKind
from tidegate.cli.data_directory import data_option, json_option, require_file, tiers_option

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
LONGEST_DAYS = 3650
LABEL_LENGTH = 100
PIPE_WIDTH = LABEL_LENGTH + 80


class Duration(click.ParamType[int]):
    """A span such as `90d`, `12h` or `30m`; its value is in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        parts = re.fullmatch(r"([0-9]{1,9})([smhdw])", str(value))
        if parts is None:
            self.fail(f"{value!r} is no duration; write a whole number and a unit: 30m, 12h, 90d or 26w", param, ctx)
        span = int(parts[1]) * UNIT_MS[parts[2]]
        if not 0 < span <= LONGEST_DAYS * UNIT_MS["d"]:
            self.fail(f"{value!r} is outside 1s to {LONGEST_DAYS}d", param, ctx)
        return span


class Label(click.ParamType[str]):
    """The operator's own words about a token: one printable line."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        label = str(value).strip()
        if not label.isprintable() or not 0 < len(label) <= LABEL_LENGTH:
            self.fail(f"a label is one printable line of 1 to {LABEL_LENGTH} characters", param, ctx)
        return label


def declared_tiers(directory: Path | None) -> tuple[str, ...]:
    """The tiers of the policy files; broken contract files end the command with what is wrong with them."""
    from schemas.catalogue import TIERS_DIRECTORY, load_catalogue

    try:
        return tuple(load_catalogue(tiers=directory or TIERS_DIRECTORY).tiers)
    except ContractError as error:
        raise click.ClickException(f"the policies cannot be read:\n{error}") from None


@click.group("token")
def token_group() -> None:
    """Make, list, rotate and revoke tokens: those that devices post with, and those that people ask with.

    A token is tg_<id>_<secret>. It is shown once, when it is made; the gate keeps only a hash. Every command works
    while the gate runs, and the gate takes notice within about a second.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """


@token_group.command("new")
@data_option
@tiers_option
@click.option("--tier", help="The compliance tier that the token may post to.")
@click.option(
    "--kind",
    type=click.Choice(get_args(TokenKind)),
    help="device: for one device. class: shared by a class of devices; a tier may refuse it from outside networks."
    "  [default: device]",
)
@click.option(
    "--role",
    type=click.Choice(ROLES),
    help="Instead of --tier and --kind: the token reads answers and posts nothing; each measure says who may ask it.",
)
@click.option("--label", type=Label(), required=True, help="Your own words, to find it again. Shown in lists only.")
@click.option("--lifetime", type=Duration(), default="90d", show_default=True, help="How long it is good for.")
@json_option
def new(
    data: Path,
    tiers: Path | None,
    tier: str | None,
    kind: TokenKind | None,
    role: Role | None,
    label: str,
    lifetime: int,
    as_json: bool,
) -> None:
    """Make a token.

    The token is printed alone on stdout, so that it can be piped; what to know about it goes to stderr.

    \b
    Examples:
      tidegate token new --data /var/lib/tidegate --tier managed --label laptops-2026 --kind class
      tidegate token new --data ./data --tier byod --label "field trial" --lifetime 14d > token.txt
      tidegate token new --data ./data --role analyst --label "monday report" > analyst.txt
    """  # noqa: D301 - \b keeps click from joining the lines
    of_tier, of_kind = _purpose(tier, kind, role)
    if role is None:
        _require_tier(of_tier, known=(), tiers=tiers)
    with _store(data / FILE_NAME) as store:
        issued = store.new(tier=of_tier, kind=of_kind, label=label, lifetime_ms=lifetime)
    _show_issued(issued, as_json=as_json)


@token_group.command("list")
@data_option
@tiers_option
@click.option("--tier", help="Only the tokens of this tier.")
@json_option
def list_tokens(data: Path, tiers: Path | None, tier: str | None, as_json: bool) -> None:
    """List every token that was ever made.

    Oldest first, and never a secret. The state is live, replaced (rotated, still good until it expires), expired or
    revoked. The tier of a token that reads is *. Times are UTC.

    \b
    Examples:
      tidegate token list --data ./data --tier contractor
      tidegate token list --data ./data --json
    """  # noqa: D301 - as above
    with _store(_existing(data)) as store:
        tokens = store.tokens()
    if tier is not None:
        # A tier that has tokens may be gone from the policies by now, so those count as well as the declared ones.
        _require_tier(tier, known={token.tier for token in tokens}, tiers=tiers)
    chosen = [token for token in tokens if tier in (None, token.tier)]
    if as_json:
        click.echo(json.dumps([_document(token) for token in chosen], indent=2))
    elif not chosen:
        of_tier = "" if tier is None else f" for {tier}"
        click.echo(f"no token was made{of_tier} yet; `tidegate token new` makes one", err=True)
    else:
        console = Console()
        if not console.is_terminal:  # a terminal folds long labels; in a pipe each token stays on a line of its own
            console.width = PIPE_WIDTH
        console.print(_table(chosen))


@token_group.command("rotate")
@data_option
@click.argument("token_id", metavar="ID")
@click.option(
    "--overlap",
    type=Duration(),
    default="7d",
    show_default=True,
    help="How long the old token stays good, at most; it never outlives its own expiry.",
)
@click.option(
    "--lifetime", type=Duration(), help="How long the new one is good for.  [default: as long as the old was]"
)
@json_option
def rotate(data: Path, token_id: str, overlap: int, lifetime: int | None, as_json: bool) -> None:
    """Replace a token by a new one.

    The new one has the same tier, kind and label and is printed alone on stdout. Both are good during the overlap.

    \b
    Examples:
      tidegate token rotate --data ./data k4x2m7q5wz3a
      tidegate token rotate --data ./data k4x2m7q5wz3a --overlap 2d --lifetime 180d > token.txt
    """  # noqa: D301 - as above
    public = public_id(token_id)
    with _store(_existing(data)) as store, _explained(store, public):
        issued = store.rotate(public, overlap_ms=overlap, lifetime_ms=lifetime)
        old = next(token for token in store.tokens() if token.id == public)
    _show_issued(issued, as_json=as_json)
    click.echo(f"The old token {old.id} is good until {iso_utc(old.expires)}.", err=True)


@token_group.command("revoke")
@data_option
@click.argument("token_id", metavar="ID")
@json_option
def revoke(data: Path, token_id: str, as_json: bool) -> None:
    """End a token at once.

    Within about a second every gate on this data directory refuses it. ID may also be a whole token, as found where
    it should not have been.

    \b
    Example:
      tidegate token revoke --data ./data k4x2m7q5wz3a
    """  # noqa: D301 - as above
    public = public_id(token_id)
    with _store(_existing(data)) as store, _explained(store, public):
        token = store.revoke(public)
    if as_json:
        click.echo(json.dumps(_document(token), indent=2))
    else:
        click.echo(f"{token.id} ({token.tier}, {token.kind}, {token.label}) is revoked.")
    if token.replaced_by is not None:
        click.echo(
            f"Its successor {token.replaced_by} is a token of its own; revoke that as well if need be.", err=True
        )


def public_id(argument: str) -> str:
    """The id in what was typed: an id, or a whole token, whose secret goes no further than this."""
    return argument[3 : 3 + ID_LENGTH] if argument.startswith("tg_") else argument


@contextmanager
def _store(file: Path) -> Iterator[TokenStore]:
    try:
        with closing(TokenStore(file, SystemClock())) as store:
            yield store
    except StateFileError as error:
        raise click.ClickException(str(error)) from None
    except sqlite3.Error as error:
        raise click.ClickException(f"{file} cannot be used ({error}); nothing was changed") from None


@contextmanager
def _explained(store: TokenStore, public: str) -> Iterator[None]:
    """Turn the store's refusals into what a person can act on."""
    try:
        yield
    except TokenNotLiveError as error:
        raise click.ClickException(str(error)) from None
    except UnknownTokenError:
        raise click.ClickException(_unknown(public, [token.id for token in store.tokens()])) from None


def _unknown(public: str, known: list[str]) -> str:
    if not re.fullmatch(r"[a-z0-9]{1,20}", public):  # it may be anything, a secret too, so it is not repeated
        return f"that is no token id; an id is {ID_LENGTH} characters of a-z and 2-7, see `tidegate token list`"
    close = get_close_matches(public, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else "`tidegate token list` shows those there are"
    return f"no token has the id {public}; {hint}"


def _purpose(tier: str | None, kind: TokenKind | None, role: Role | None) -> tuple[str, Kind]:
    """The tier and kind of the token that was asked for; a wrong combination of options ends the command."""
    if role is not None:
        if tier is not None or kind is not None:
            raise click.UsageError("--role is for a token that reads, without --tier and --kind; make two tokens")
        return EVERY_TIER, role
    if tier is None:
        raise click.UsageError("give --tier for a token that posts, or --role for one that reads answers")
    return tier, kind or "device"


def _require_tier(tier: str, *, known: Collection[str], tiers: Path | None) -> None:
    if tier not in known and tier not in (declared := declared_tiers(tiers)):
        raise click.BadParameter(
            f"there is no tier {tier!r}; {nearest(tier, {*known, *declared})}", param_hint="--tier"
        )


def _existing(data: Path) -> Path:
    return require_file(data / FILE_NAME, made_by="`tidegate token new` and `tidegate serve`")


def _show_issued(issued: IssuedToken, *, as_json: bool) -> None:
    token = issued.token
    if as_json:
        click.echo(json.dumps({"token": issued.text, **_document(token)}, indent=2))
    else:
        click.echo(issued.text)
    purpose = f"role {token.kind}" if token.kind in ROLES else f"tier {token.tier}, kind {token.kind}"
    use = (
        "Ask with it: `tidegate ask --token-file FILE`, or `Authorization: Bearer <token>`."
        if token.kind in ROLES
        else "Devices send it as `Authorization: Bearer <token>`."
    )
    click.echo(
        f"Token {token.id} for {purpose}, good until {iso_utc(token.expires)}.\n"
        f"It is shown this once: store it now. {use}",
        err=True,
    )


def _document(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "tier": token.tier,
        "kind": token.kind,
        "label": token.label,
        "state": token.state(SystemClock().now_ms()),
        "created": iso_utc(token.created),
        "expires": iso_utc(token.expires),
        "revoked": None if token.revoked is None else iso_utc(token.revoked),
        "replaced_by": token.replaced_by,
    }


def _table(tokens: list[Token]) -> Table:
    now = SystemClock().now_ms()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "tier", "kind", "state", "expires (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("label", overflow="fold")
    for token in tokens:
        table.add_row(token.id, token.tier, token.kind, token.state(now), iso_utc(token.expires), Text(token.label))
    return table
