"""`tidegate rebuild`: make the rollups anew from seals and log."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidegate.cli.contracts import contracts, tiers_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.log_options import data_and_log_options, data_and_log_settings
from tidegate.settings import ROLLUPS_DIRECTORY, Settings

if TYPE_CHECKING:
    from aggregators.repair.rebuild import Progress, Rebuilt
    from schemas.catalogue import Catalogue

DAMAGED_SEAL = (
    "Nothing was changed. Restore the seal from a backup; or, while the log has its beginning, count the log alone: "
    "tidegate rebuild --from-log --data"
)
GONE = (
    "Nothing was changed. Restore the log from its backup; without that part of it the rollups would lack reports. If "
    "that cannot be: tidegate gap --data"
)
REPLACED = (
    "Nothing was changed. Restore the newer log; or count what is in this one and nothing else: "
    "tidegate rebuild --from-log --data"
)


@click.command("rebuild")
@data_and_log_options
@tiers_option
@click.option("--from-log", is_flag=True, help="Leave the seals aside and read the whole log.")
@json_option
def rebuild_command(*, tiers: Path, from_log: bool, as_json: bool, config: Path | None, **flags: Any) -> None:
    """Make the rollups anew.

    From the seals and the log behind them; with --from-log from the log alone, which takes longer and needs a log that
    still has its beginning. What was published stays published. The old rollups are replaced at the very end:
    until then Ctrl-C, or any error, leaves everything as it was.

    The log is named by the same settings as for `tidegate serve`. Stop that first. A missing file needs no rebuild: the
    next start makes it by itself.

    \b
    Examples:
      tidegate rebuild --data /var/lib/tidegate
      tidegate rebuild --data ./data --from-log --json
      tidegate rebuild --config gate.toml

    Exit codes: 0 rebuilt; 1 refused, failed or interrupted, and everything is as it was; 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    settings = data_and_log_settings(flags, config)
    if not settings.data.is_dir():
        raise click.ClickException(f"{settings.data} is not there; check --data")
    result = _rebuilt(settings, contracts(tiers), from_log=from_log)
    if as_json:
        click.echo(json.dumps(_document(result)))
    else:
        for line in _lines(result):
            click.echo(line)


def _rebuilt(settings: Settings, catalogue: "Catalogue", *, from_log: bool) -> "Rebuilt":
    from aggregators.fence import Fenced
    from aggregators.following.batches import HistoryGone, LogReplaced
    from aggregators.publication.publish import PublicationDamaged
    from aggregators.rollups.rollups import RollupsUnavailable
    from aggregators.sealing.seal_files import SealDamaged
    from ingest.log import LogUnavailable
    from tidegate.log_source import log_name

    data = settings.data
    try:
        return _run(settings, catalogue, from_log=from_log)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; the old rollups are as they were") from None
    except SealDamaged as error:
        raise click.ClickException(f"{error}. {DAMAGED_SEAL} {data}") from None
    except HistoryGone as error:
        raise click.ClickException(f"the log in {log_name(settings)} begins too late: {error}. {GONE} {data}") from None
    except LogReplaced as error:
        raise click.ClickException(f"{log_name(settings)} is another log: {error}. {REPLACED} {data}") from None
    except (RollupsUnavailable, LogUnavailable, PublicationDamaged, Fenced) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or data} cannot be used: {error.strerror}") from None


def _run(settings: Settings, catalogue: "Catalogue", *, from_log: bool) -> "Rebuilt":
    from rich.console import Console
    from rich.progress import Progress as Bars

    from aggregators.repair.rebuild import Step, rebuild
    from aggregators.sealing.seal_files import DIRECTORY_NAME, read_chain
    from tidegate.log_source import open_reader

    directory = settings.data / ROLLUPS_DIRECTORY
    chain = [] if from_log else read_chain(directory / DIRECTORY_NAME)

    async def run(progress: "Progress") -> "Rebuilt":
        reader = open_reader(settings)
        try:
            return await rebuild(directory, reader, chain=chain, tiers=catalogue.tiers, progress=progress)
        finally:
            await reader.close()

    with Bars(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bars:
        tasks = {what: bars.add_task(what, total=None) for what in ("seals", "records")}

        def show(step: Step) -> None:
            bars.update(tasks[step.what], completed=step.done, total=step.of)

        return asyncio.run(run(show))


def _lines(result: "Rebuilt") -> list[str]:
    applied = result.applied
    made_of = f"{result.rows:,} rows of {result.seals:,} seals, and {applied.entries:,} records of the log"
    lines = [f"{made_of}: {applied.reports:,} reports, {applied.duplicates:,} duplicates."]
    lines.append(f"{result.publications:,} publications stay published.")
    if applied.parked:
        lines.append(f"{applied.parked:,} records could not be read and are parked: see tidegate log tail.")
    return lines


def _document(result: "Rebuilt") -> dict[str, int]:
    applied = result.applied
    return {
        "seals": result.seals,
        "rows": result.rows,
        "records": applied.entries,
        "reports": applied.reports,
        "duplicates": applied.duplicates,
        "parked": applied.parked,
        "publications": result.publications,
    }
