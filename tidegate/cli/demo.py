"""`tidegate demo`: the whole product on this machine, on a fleet whose true answers are known."""

import json
import os
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from load.fleet.nouns import Fleet
    from tidegate.child_gate import ChildGate
    from tidegate.demo.run import Run
    from tidegate.demo.stage import Stage

TYPED = "trace_window"
"""The report that is there to be tried: every tier takes it, and few fields of it have to be there."""

LEAST_DEVICES = 30
"""Of fewer, the answers to some questions may show no cell at all, and nothing could be held to the truth."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked for on the command line."""

    once: bool
    as_json: bool
    trace: Path | None
    devices: int
    seed: int
    kafka: str | None


@click.command("demo", short_help="Run the whole product on a made-up fleet, and hold it to the truth.")
@click.option("--once", is_flag=True, help="End after printing, instead of serving until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON object with what was found.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV of real arrivals (TIMESTAMP,ContextTokens,GeneratedTokens).  [default: made up, of the same shape]",
)
@click.option(
    "--devices", type=click.IntRange(LEAST_DEVICES, 20_000), default=2_000, show_default=True, help="How many."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another fleet.")
@click.option(
    "--kafka",
    is_flag=False,
    flag_value="own",
    metavar="[HOST:PORT]",
    help="Stream to Apache Kafka: one that runs already, or without an address one started here (Java 17, Maven).",
)
def demo(once: bool, as_json: bool, trace: Path | None, devices: int, seed: int, kafka: str | None) -> None:
    """Run the whole product on this machine: a made-up fleet posts three days, and the answers are held to the truth.

    Gate, log, follower and answers start on a free port with a fresh directory. A fleet of laptops and workstations
    posts what its applications did, identifiers included, some of it late and some twice. Then the main answers are
    printed beside the true ones, everything is searched for identifiers, and it all goes on until Ctrl-C, which removes
    the directory. Nothing leaves this machine, unless --kafka names another one: there the topics have a prefix of
    their own, and are removed at the end.

    \b
    Examples:
      tidegate demo
      tidegate demo --devices 200
      tidegate demo --kafka
      tidegate demo --devices 200 --kafka localhost:9092
      tidegate demo --once --json --trace AzureLLMInferenceTrace_conv.csv --seed 7

    Exit codes: 0 all is well; 1 something is not, the product failed, or Ctrl-C came before that was known; 2 wrong
    usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    from load.server_process import ServerFailed
    from tidegate.child_gate import interrupt, signals
    from tidegate.demo.logs import CannotDemonstrate

    os.environ["no_proxy"] = "*"  # nothing leaves this machine, whatever proxy its owner uses
    try:
        with signals(interrupt):
            well = _demonstrate(_Request(once, as_json, trace, devices, seed, kafka))
    except KeyboardInterrupt:
        click.echo("\nStopped before its end; the demonstration's directory is gone.", err=True)
        raise click.exceptions.Exit(1) from None
    except (CannotDemonstrate, ServerFailed) as error:
        raise click.ClickException(str(error)) from None
    if not once:
        click.echo("\nStopped; the demonstration's directory is gone.", err=True)
    if not well:
        raise click.exceptions.Exit(1)


def _demonstrate(request: _Request) -> bool:
    """Whether all is well; without --once it returns after Ctrl-C."""
    from rich.console import Console

    from ingest.clock import SystemClock
    from load.fleet.scenario import make_fleet
    from load.fleet.trace import TraceError
    from load.fleet.trial import make_trial
    from tidegate.cli.page import page
    from tidegate.demo.logs import OWN_BROKER
    from tidegate.demo.run import Run
    from tidegate.demo.showing import Shown, show_outcome
    from tidegate.demo.stage import stage

    console = page()
    steps = Shown(Console(stderr=True, quiet=request.as_json))
    try:
        with steps.step(f"Making a fleet of {request.devices:,} devices and three days of tasks"):
            now = SystemClock().now_ms()
            fleet = make_fleet(devices=request.devices, seed=request.seed, now_ms=now, trace=request.trace)
            trial = make_trial(fleet)
    except TraceError as error:
        raise click.ClickException(str(error)) from None
    with ExitStack() as stack:
        with steps.step("Starting Apache Kafka" if request.kafka == OWN_BROKER else "Making a place for it"):
            place = stack.enter_context(stage(fleet, kafka=request.kafka))
        run = Run(trial, place, steps)
        run.post_and_ask(_silent if request.as_json else _shown_on(console))
        run.look_inside()
        outcome = run.outcome()
        if request.as_json:
            click.echo(json.dumps(outcome.document(), indent=2))
        else:
            show_outcome(console, outcome)
        if not request.once:
            with suppress(KeyboardInterrupt):
                _serve(console, place, fleet)
    return outcome.is_well


def _silent(product: "ChildGate", run: "Run") -> None:
    from tidegate.demo.asking import main_answers, other_outputs

    main_answers(product, run)
    run.outputs.update(other_outputs(product))


def _shown_on(console: "Console") -> "Callable[[ChildGate, Run], None]":
    def ask(product: "ChildGate", run: "Run") -> None:
        from tidegate.demo.asking import main_answers, other_outputs
        from tidegate.demo.showing import show_answers

        show_answers(console, main_answers(product, run), run.trial.k)
        run.outputs.update(other_outputs(product))

    return ask


def _serve(console: "Console", place: "Stage", fleet: "Fleet") -> None:
    """Start the product again on what it has, and leave it to whoever looks."""
    from load.server_process import ServerFailed, last_words
    from tidegate.demo.showing import next_steps, show_next_steps

    report = _typed(place.directory, fleet)
    with place.product() as product:
        show_next_steps(console, next_steps(place, product.url, report))
        console.print(f"It serves at {product.url} until Ctrl-C; then its directory is removed.", style="bold")
        while True:
            try:
                product.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
            raise ServerFailed(f"it ended by itself:\n{last_words(place.lines)}")


def _typed(directory: Path, fleet: "Fleet") -> Path:
    """A report as an engineer would type it, in a file."""
    from tidegate.demo.typed import typed_report

    file = directory / f"{TYPED}.json"
    file.write_text(json.dumps(typed_report(fleet), indent=2) + "\n", encoding="utf-8")
    return file
