"""`tidegate gap`: what the log has lost for good, and going on behind it."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidegate.cli.contracts import contracts, tiers_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.log_options import data_and_log_options, data_and_log_settings
from tidegate.settings import ROLLUPS_DIRECTORY, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aggregators.repair.gaps import Gap
    from schemas.catalogue import Catalogue


@click.command("gap")
@data_and_log_options
@tiers_option
@click.option("--accept", "why", metavar="WHY", help="Go on behind what is lost; a sentence that says why it is.")
@json_option
def gap_command(*, tiers: Path, why: str | None, as_json: bool, config: Path | None, **flags: Any) -> None:
    """Show what the log has lost before it was counted.

    The follower stops (history_gone) where the log lacks records that are not in the rollups yet: retention was shorter
    than it stood still, or somebody deleted records. Restore the log if that can be. If not, --accept notes what is
    lost and goes on behind it: the gap stays in the rollups and in every seal and rebuild, and answers that it may
    touch say so. Entries that are damaged (log_damaged) count as lost too. Stop `tidegate serve` first.

    \b
    Examples:
      tidegate gap --data /var/lib/tidegate
      tidegate gap --config gate.toml --accept "down for nine days, retention was seven"

    Exit codes: 0 nothing is lost, or it was accepted; 1 something is, or an error; 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    settings = data_and_log_settings(flags, config)
    if not settings.data.is_dir():
        raise click.ClickException(f"{settings.data} is not there; check --data")
    if why is not None and not why.strip():
        raise click.UsageError("--accept needs a sentence that says why this is lost")
    gaps = _found(settings, contracts(tiers), why)
    if as_json:
        click.echo(json.dumps({"accepted": bool(gaps and why), "gaps": [_document(gap) for gap in gaps]}))
    else:
        for line in _lines(gaps, why):
            click.echo(line)
    if gaps and why is None:
        raise SystemExit(1)


def _found(settings: Settings, catalogue: "Catalogue", why: str | None) -> "Sequence[Gap]":
    from aggregators.fence import Fenced
    from aggregators.following.batches import LogReplaced
    from aggregators.publication.publish import PublicationDamaged
    from aggregators.rollups.rollups import RollupsUnavailable
    from aggregators.sealing.seal import RollupsBehindSeals, SealFailed
    from aggregators.sealing.seal_files import SealDamaged
    from ingest.log import LogUnavailable
    from tidegate.log_source import log_name

    try:
        return asyncio.run(_find(settings, catalogue, why))
    except LogReplaced as error:
        raise click.ClickException(f"{log_name(settings)} is another log: {error}. That is no gap.") from None
    except RollupsBehindSeals as error:
        raise click.ClickException(f"{error}. Run tidegate rebuild first.") from None
    except (RollupsUnavailable, LogUnavailable, SealDamaged, SealFailed, PublicationDamaged, Fenced) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or settings.data} cannot be used: {error.strerror}") from None


async def _find(settings: Settings, catalogue: "Catalogue", why: str | None) -> "Sequence[Gap]":
    from aggregators.repair.gaps import find_gaps
    from ingest.clock import SystemClock
    from tidegate.log_source import open_reader

    reader = open_reader(settings)
    try:
        return await find_gaps(
            settings.data / ROLLUPS_DIRECTORY, reader, tiers=catalogue.tiers, clock=SystemClock(), accept_why=why
        )
    finally:
        await reader.close()


def _lines(gaps: "Sequence[Gap]", why: str | None) -> list[str]:
    if not gaps:
        return ["Nothing is lost: the log holds whatever follows the rollups."]
    lines = [
        f"{gap.partition.topic} {gap.partition.number}: offsets {gap.first:,} to {gap.last:,}, appended "
        f"{'' if gap.since is None else f'after {gap.since:%Y-%m-%d %H:%M} and '}before {gap.until:%Y-%m-%d %H:%M} UTC"
        for gap in gaps
    ]
    records = sum(gap.records for gap in gaps)
    if why is None:
        return [*lines, f"Up to {records:,} records are lost. Restore the log; or accept it: tidegate gap --accept WHY"]
    return [
        *lines,
        f"Up to {records:,} records are lost, which is noted. Start tidegate serve: it goes on behind them.",
    ]


def _document(gap: "Gap") -> dict[str, Any]:
    return {
        "topic": gap.partition.topic,
        "partition": gap.partition.number,
        "first": gap.first,
        "last": gap.last,
        "since": None if gap.since is None else f"{gap.since.isoformat()}Z",
        "until": f"{gap.until.isoformat()}Z",
    }
