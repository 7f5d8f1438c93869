"""`python -m load.bench`: what a report costs the gate, beside a bare application and the naive way, in one run."""

import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from load.client import BadAnswerError
from load.comparison import FULL, QUICK, Comparison
from load.processes import ServerFailedError, choose_cores
from load.results import Results, show

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the reports that are posted.")
@click.option(
    "--quick",
    "size",
    flag_value=QUICK,
    type=click.UNPROCESSED,
    help="A few hundred reports, only to see that everything works: no figure is judged.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the embedded logs are written for the time of the run. On a tmpfs a commit costs nothing. "
    "[default: the system's folder for temporary files]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def main(seed: int, size: object, folder: Path | None, as_json: bool) -> None:  # noqa: FBT001  # a flag of the command
    """Measure the gate's CPU per report, beside a bare application and the naive way, and judge it.

    All servers run at once on one core and are measured in turns from another; takes about two minutes. Progress
    goes to stderr, figures to stdout. docs/measurements.md says what the figures mean.

    Exit codes: 0 the targets are met, or nothing was judged (--quick); 1 a target is missed, or a server failed;
    2 wrong usage; 130 interrupted. Whatever happens, every server that was started is ended.
    """
    chosen = QUICK if size is QUICK else FULL
    with _interruptible(), tempfile.TemporaryDirectory(prefix="tidegate-bench-", dir=folder) as scratch:
        try:
            results = Comparison(chosen, seed=seed, cores=choose_cores(), folder=Path(scratch), progress=_say).run()
        except (BadAnswerError, ServerFailedError, TimeoutError) as error:
            raise click.ClickException(str(error) or "a server did not answer in time") from None
    _print(results, as_json=as_json)
    sys.exit(1 if results.missed else 0)


def _print(results: Results, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(results.document(), indent=2))
    else:
        show(results)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, with every server ended."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted; every server has been ended")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C: asyncio cancels its main task on SIGINT, while an exception out of here would end in some callback."""
    del number, frame
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
