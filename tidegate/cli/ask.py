"""`tidegate ask`: what the fleet does, in numbers that were published."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

import click

from tidegate.cli.answer_table import show_answer, show_listing, time_text, withheld
from tidegate.cli.answers_client import AnswersClient, checked_url
from tidegate.cli.page import page
from tidegate.cli.token import Duration

PATH = "/v1/answers"
TOKEN_VARIABLE = "TIDEGATE_TOKEN"  # noqa: S105 - the name of a variable
MEDIA_TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
BINARY = ("parquet", "arrow")


@click.command("ask")
@click.argument("measure", required=False)
@click.option("--by", multiple=True, metavar="NAMES", help="Dimensions, separated by commas; tier may always be one.")
@click.option("--from", "since", metavar="TIME", help="2026-11-20, or 2026-11-20T08:00Z; UTC.")
@click.option("--to", "until", metavar="TIME", help="As --from; the time itself is not in the range.  [default: now]")
@click.option("--last", type=Duration(), help="In place of --from: this long before --to.  [default: 3d]")
@click.option("--bucket", type=click.Choice(["hour", "day"]), help="A row for each hour or day, instead of for all.")
@click.option("--where", multiple=True, metavar="NAME=VALUES", help="Only rows with one of these values.")
@click.option("--compare", type=click.Choice(["previous"]), help="Which cells moved most against the span before.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", *MEDIA_TYPES]),
    default="table",
    show_default=True,
    help="table and json have up to --limit rows, the others all of them.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), help="Rows of a table or of JSON.  [default: 1000]")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write, in place of stdout.")
@click.option(
    "--url",
    envvar="TIDEGATE_URL",
    show_envvar=True,
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Of a gate.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TIDEGATE_TOKEN_FILE",
    show_envvar=True,
    help=f"File with a token that reads; or the token itself in {TOKEN_VARIABLE}.",
)
def ask_command(
    measure: str | None,
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    last: int | None,
    bucket: str | None,
    where: tuple[str, ...],
    compare: str | None,
    form: str,
    limit: int | None,
    output: Path | None,
    url: str,
    token_file: Path | None,
) -> None:
    """Ask a measure, or without MEASURE: what may be asked.

    Everything that is answered was published: a number of too few devices is withheld, and how many were is told. The
    token needs a role (`tidegate token new --role analyst`); each measure says which.

    \b
    Examples:
      tidegate ask --token-file analyst.txt
      tidegate ask R1 --by route,region --last 7d --token-file analyst.txt
      tidegate ask R4 --by route --bucket hour --where tier=managed --token-file analyst.txt
      tidegate ask F1 --compare previous --token-file analyst.txt
      tidegate ask R5 --by route,model --format parquet --output cost.parquet --token-file analyst.txt

    Exit codes: 0 answered, 1 refused or failed, 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    _check_output(form, output)
    client = AnswersClient(checked_url(url), _token(token_file))
    if measure is None:
        _list(client, form, output)
        return
    query = [
        *([("by", ",".join(by))] if by else []),
        *_range(since, until, last, bucket),
        *((name, value) for name, value in (("bucket", bucket), ("compare", compare)) if value is not None),
        *_filters(where),
        *([("limit", str(limit))] if limit is not None else []),
    ]
    path = f"{PATH}/{_measure(measure)}"
    if form in MEDIA_TYPES:
        with client.get(path, query, accept=MEDIA_TYPES[form]) as response:
            _tell_beside(response)
            _save(client.body(response), output)
    elif form == "json":
        _print_json(client.document(path, query), output)
    else:
        show_answer(page(), client.document(path, query))


def _list(client: AnswersClient, form: str, output: Path | None) -> None:
    document = client.document(PATH)
    if form in MEDIA_TYPES:
        raise click.UsageError("what may be asked is listed as a table or as JSON")
    if form == "json":
        _print_json(document, output)
    else:
        show_listing(page(), document)


def _check_output(form: str, output: Path | None) -> None:
    if form == "table" and output is not None:
        raise click.UsageError("--output takes what --format json, csv, parquet or arrow gives; name one of them")
    if form in BINARY and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{form} is not for a terminal; name a file with --output, or a pipe")


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "")
        said = TOKEN_VARIABLE
    else:
        try:
            token = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise click.BadParameter(f"{file} cannot be read: {why}", param_hint="--token-file") from None
        said = str(file)
    if not (token := token.strip()):
        raise click.UsageError(
            f"a token is needed: --token-file FILE, or {TOKEN_VARIABLE}; "
            "`tidegate token new --role analyst --label NAME --data DIR > FILE` makes one"
        )
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise click.UsageError(f"what {said} holds is no token; it is one word that begins with tg_")
    return token


def _measure(name: str) -> str:
    """The measure as part of a path; anything else than letters and digits is none."""
    if not (name.isascii() and name.isalnum()):
        raise click.BadParameter("a measure is named like R1; `tidegate ask` lists them", param_hint="MEASURE")
    return name


def _range(since: str | None, until: str | None, last: int | None, bucket: str | None) -> Iterator[tuple[str, str]]:
    if last is not None:
        if since is not None:
            raise click.UsageError("--last and --from both say where the range begins; give one of them")
        since = _before(until, last, bucket)
    if since is not None:
        yield "from", since
    if until is not None:
        yield "to", until


def _before(until: str | None, last: int, bucket: str | None) -> str:
    """The time `last` milliseconds before the end of the range, which is the end of this hour if none is given."""
    from datetime import timedelta

    from aggregators.answering.problems import Refused
    from aggregators.answering.spans import ceiling, iso, parse_time
    from aggregators.times import naive_utc
    from ingest.clock import SystemClock

    if until is None:
        end = ceiling(naive_utc(SystemClock().now_ms()), "day" if bucket == "day" else "hour")
    else:
        try:
            end = parse_time(until)
        except Refused as refused:
            raise click.BadParameter(refused.detail or "", param_hint="--to") from None
    return iso(end - timedelta(milliseconds=last))


def _filters(where: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    from aggregators.answering.question import PARAMETERS

    for one in where:
        name, equals, values = one.partition("=")
        if not equals or not name or name in PARAMETERS:
            raise click.BadParameter(
                "write a dimension and its values: --where region=eu-west,eu-north", param_hint="--where"
            )
        yield name, values


def _print_json(document: dict[str, object], output: Path | None) -> None:
    text = json.dumps(document, indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        with _new_file(output) as file:
            file.write(text.encode())


def _tell_beside(response: HTTPResponse) -> None:
    """On stderr, what a file of rows does not say."""
    told = response.headers
    click.echo(
        f"{time_text(told['Tidegate-From'])} to {time_text(told['Tidegate-To'])} UTC, "
        f"complete to {time_text(told['Tidegate-Complete-To'])}, withheld: "
        + withheld({"cells": int(told["Tidegate-Withheld-Cells"]), "waiting": int(told["Tidegate-Withheld-Waiting"])}),
        err=True,
    )
    for note in json.loads(told["Tidegate-Notes"]):
        click.echo(f"note: {note}", err=True)


def _save(pieces: Iterator[bytes], output: Path | None) -> None:
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    with _new_file(output) as file:
        file.writelines(pieces)


@contextmanager
def _new_file(output: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name once it is whole."""
    try:
        with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as draft:
            try:
                yield draft
                draft.close()
                Path(draft.name).replace(output)
            except BaseException:  # whatever it was, it goes on, and no half of a file stays
                Path(draft.name).unlink()
                raise
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
