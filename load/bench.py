"""`python -m load.bench`: what reports, answers and a device's tasks cost, in one run."""

import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import click

from load.agent.figures import AGENT_FULL, AGENT_QUICK, AgentSize
from load.agent_part import measure_agent
from load.answers_part import ANSWERS_FULL, ANSWERS_QUICK, AnswersSize, measure_answers
from load.broker import BrokerFailedError, NoBroker
from load.children import ChildFailedError
from load.client import BadAnswerError
from load.comparison import FULL, QUICK, Comparison, Size
from load.fleet.trace import TraceError
from load.follower_part import FOLLOWER_FULL, FOLLOWER_QUICK, FollowerSize, measure_follower
from load.kafka_part import KAFKA_FULL, KAFKA_QUICK, KafkaSize, measure_kafka
from load.part import Part, document, missed, show
from load.processes import Cores, choose_cores
from load.server_process import ServerFailed

FAILURES = (
    BadAnswerError, BrokerFailedError, ChildFailedError, NoBroker, ServerFailed, TimeoutError, TraceError,
)  # fmt: skip
"""What ends a part."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each part is measured."""

    gate: Size
    follower: FollowerSize
    answers: AnswersSize
    kafka: KafkaSize
    agent: AgentSize


EVERYTHING = Sizes(FULL, FOLLOWER_FULL, ANSWERS_FULL, KAFKA_FULL, AGENT_FULL)
A_LITTLE = Sizes(QUICK, FOLLOWER_QUICK, ANSWERS_QUICK, KAFKA_QUICK, AGENT_QUICK)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a part needs; `folder` is its own."""

    sizes: Sizes
    seed: int
    cores: Cores
    folder: Path
    trace: Path | None

    def below(self, name: str) -> "Bench":
        """The same in a folder below, so that no part meets what another has left."""
        folder = self.folder / name
        folder.mkdir()
        return replace(self, folder=folder)

    def gate(self) -> Part:
        """The gate beside a bare application and the naive way."""
        return Comparison(self.sizes.gate, seed=self.seed, cores=self.cores, folder=self.folder, progress=_say).run()

    def follower(self) -> Part:
        """The follower by stage, and publication."""
        return measure_follower(
            self.sizes.follower, seed=self.seed, cores=self.cores, folder=self.folder, progress=_say
        )

    def answers(self) -> Part:
        """Answers over ninety days."""
        return measure_answers(self.sizes.answers, seed=self.seed, cores=self.cores, folder=self.folder, progress=_say)

    def kafka(self) -> Part:
        """Gate and follower on a Kafka of its own, beside the embedded log."""
        return measure_kafka(self.sizes.kafka, seed=self.seed, cores=self.cores, folder=self.folder, progress=_say)

    def agent(self) -> Part:
        """The device's library, beside one span for each task."""
        return measure_agent(
            self.sizes.agent, seed=self.seed, trace=self.trace, cores=self.cores, folder=self.folder, progress=_say
        )


PARTS: Mapping[str, Callable[[Bench], Part]] = {
    "gate": Bench.gate,
    "follower": Bench.follower,
    "answers": Bench.answers,
    "kafka": Bench.kafka,
    "agent": Bench.agent,
}


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the reports and of the (first) fleet.")
@click.option(
    "--only",
    "chosen",
    type=click.Choice(list(PARTS)),
    multiple=True,
    help="A part to measure; may be given several times.  [default: all of them]",
)
@click.option(
    "--quick",
    "sizes",
    flag_value=A_LITTLE,
    type=click.UNPROCESSED,
    help="A few hundred reports, only to see that everything works: no figure is judged.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where logs and rollups are written for the time of the run, up to 1 GB. On a tmpfs a commit costs nothing. "
    "[default: the system's folder for temporary files]",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A trace of requests as CSV, for the part `agent` (README.md names one).  [default: a synthetic one]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def main(  # the options of the command
    seed: int,
    chosen: Sequence[str],
    sizes: object,
    folder: Path | None,
    trace: Path | None,
    as_json: bool,  # noqa: FBT001  # a flag of the command
) -> None:
    """Measure what reports, answers and a device's tasks cost, and judge it.

    \b
    gate      CPU per report of the gate, beside a bare application and the
              naive way, and its memory; about two minutes
    follower  reports per second and CPU per report of the follower, by stage,
              and publication, over fleets of 2,000 devices; about four minutes
    answers   time and memory of answers over ninety days of such a fleet, at
              one and ten times the cells; about three minutes
    kafka     gate and follower on a Kafka that it starts itself, each beside
               the embedded log; needs Java 17 and Maven; about three minutes
    agent     what the device's library costs an application, and bytes and
               CPU to learn the same answers by one OpenTelemetry span for
               each task; about three minutes

    What is measured runs on one core, whatever drives it on another. Progress goes to stderr, figures to stdout.
    docs/measurements.md says what the figures mean.

    Exit codes: 0 the targets are met, or nothing was judged (--quick); 1 a target is missed, or a part could not be
    measured (the others are printed); 2 wrong usage; 130 interrupted. Whatever happens, every process that was started
    is ended.
    """  # noqa: D301  # the backspace is what keeps click from filling the lines after it
    with _interruptible(), tempfile.TemporaryDirectory(prefix="tidegate-bench-", dir=folder) as scratch:
        bench = Bench(A_LITTLE if sizes is A_LITTLE else EVERYTHING, seed, choose_cores(), Path(scratch), trace)
        parts, failed = _measured(bench, [name for name in PARTS if name in (chosen or PARTS)])
    if parts or not failed:
        _print(parts, as_json=as_json)
    for name, why in failed.items():
        click.echo(f"Error: {name} was not measured: {why}", err=True)
    sys.exit(1 if failed or any(missed(part) for part in parts.values()) else 0)


def _measured(bench: Bench, names: Sequence[str]) -> tuple[dict[str, Part], dict[str, str]]:
    """The parts that could be measured, and why the others could not: one that fails takes no figures of others."""
    parts: dict[str, Part] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            parts[name] = PARTS[name](bench.below(name))
        except FAILURES as error:
            failed[name] = str(error) or "a server did not answer in time"
    return parts, failed


def _print(parts: dict[str, Part], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document(parts), indent=2))
    else:
        show(parts)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, with every process ended."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted; every process that was started has been ended")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C: asyncio cancels its main task on SIGINT, while an exception out of here would end in some callback."""
    del number, frame
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
