"""`python -m load.faults`: a random schedule of faults against real processes, and what did not hold.

    python -m load.faults --rounds 200 --log both
    python -m load.faults --seed 7 --round 31 --log kafka      # the faults of one round again, on a fresh directory

Ends with `lost 0, counted twice 0, leaked 0`, or with exit code 1 and the reasons: `other` counts what is none of the
three. Ctrl-C ends every process and removes the
data; so does the end of a run, but for that of one that failed, whose directory is named.
"""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from random import Random

from load.broker import BrokerFailedError, NoBroker, cluster
from load.faults.kafka_world import KafkaWorld
from load.faults.rounds import Life, failure, living, total
from load.faults.schedule import embedded_injections, kafka_injections
from load.faults.verdict import Violation
from load.faults.world import EmbeddedWorld

BROKERS = 3
OWN_REGISTRY = "own"
CONFLUENT = 1 / 3
"""Share of the lives on Kafka whose gates are their own schema registry: values then begin with an id."""

LOGS = {"embedded": ("embedded",), "kafka": ("kafka",), "both": ("embedded", "kafka")}
Say = Callable[[str], None]
Numbers = Sequence[int]

ROUNDS_OF_A_LIFE = 50
"""Then another directory begins: every round looks at all that its directory ever had, so that the hundred and fiftieth
would take longer than the first ten."""


def main() -> int:
    """Exit code 0 if everything held."""
    asked = _parser().parse_args()
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    _say(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="tidegate-faults-"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background commands ignore it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    violations: list[Violation] = []
    lives = [range(asked.round, asked.round + 1)] if asked.round else _lives(asked.rounds)
    try:
        for log in LOGS[asked.log]:
            violations += RUNS[log](folder / log, seed, lives)
    except NoBroker as error:
        _say(total(violations))
        return _failed(folder, f"there is no Kafka to try: {error}")
    except BrokerFailedError as error:
        violations.append(failure(error))
        _say(f"  {violations[-1]}\n  again: python -m load.faults --log kafka --seed {seed}")
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return _failed(None, "interrupted")
    _say(total(violations))
    if violations:
        return _failed(folder, f"{len(violations)} violations")
    shutil.rmtree(folder)
    return 0


def on_embedded(folder: Path, seed: int, lives: Sequence[Numbers]) -> Sequence[Violation]:
    """Rounds on the embedded log."""

    async def run(numbers: Numbers) -> Sequence[Violation]:
        async with living(EmbeddedWorld(_place(folder, numbers)), embedded_injections(), seed=seed) as life:
            return await play(life, numbers, log="embedded", seed=seed, say=_say)

    return _until_one_fails(run, lives)


def on_kafka(folder: Path, seed: int, lives: Sequence[Numbers]) -> Sequence[Violation]:
    """Rounds on Kafka, with a cluster of its own on which every life has topics of its own."""
    with cluster(folder / "brokers", brokers=BROKERS) as kafka:

        async def run(numbers: Numbers) -> Sequence[Violation]:
            drawn = Random(f"{seed}/{(numbers[0] - 1) // ROUNDS_OF_A_LIFE}/framing").random()  # also of one round again
            registry = OWN_REGISTRY if drawn < CONFLUENT else None
            _say(f"kafka: values begin as {'Confluent' if registry else 'Avro'} has it")
            world = KafkaWorld(_place(folder, numbers), kafka, prefix=f"faults.{numbers[0]}.", registry=registry)
            await world.make_topics()
            async with living(world, kafka_injections(), seed=seed) as life:
                return await play(life, numbers, log="kafka", seed=seed, say=_say)

        return _until_one_fails(run, lives)


def _place(folder: Path, numbers: Numbers) -> Path:
    return folder / f"from-round-{numbers[0]}"


def _until_one_fails(
    run: Callable[[Numbers], Coroutine[None, None, Sequence[Violation]]], lives: Sequence[Numbers]
) -> Sequence[Violation]:
    for numbers in lives:
        if violations := asyncio.run(run(numbers)):
            return violations
    return []


RUNS = {"embedded": on_embedded, "kafka": on_kafka}


def _lives(rounds: int) -> Sequence[Numbers]:
    starts = range(1, rounds + 1, ROUNDS_OF_A_LIFE)
    return [range(start, min(start + ROUNDS_OF_A_LIFE, rounds + 1)) for start in starts]


async def play(life: Life, numbers: Numbers, *, log: str, seed: int, say: Say) -> Sequence[Violation]:
    """Rounds until the first in which something does not hold, and a last look; what does not."""
    started = time.monotonic()
    for number in numbers:
        outcome = await life.play(number)
        say(f"{log} {number}: {'; '.join(outcome.injected)} ({outcome.seconds:.1f} s)")
        for violation in outcome.violations:
            say(f"  {violation}")
        if outcome.violations:
            say(f"  again: python -m load.faults --log {log} --seed {seed} --round {number}")
            return outcome.violations
    last = await life.last_look()
    for violation in last:
        say(f"  {violation}")
    if last:
        say(f"  again: python -m load.faults --log {log} --seed {seed} --rounds {numbers[-1]}")
    counted = ", ".join(f"{number} {what}" for what, number in sorted(life.told.summary().items()))
    say(f"{log}: {len(numbers)} rounds in {time.monotonic() - started:.0f} s, reports {counted}")
    return last


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load.faults", description="Faults against real processes.")
    parser.add_argument("--rounds", type=int, default=200, metavar="NUMBER", help="of each log  [default: 200]")
    parser.add_argument("--seed", type=int, metavar="NUMBER", help="what to draw from  [default: any]")
    parser.add_argument("--round", type=int, metavar="NUMBER", help="only the faults of this round")
    parser.add_argument("--log", choices=sorted(LOGS), default="both", help="which log  [default: both]")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _failed(folder: Path | None, why: str) -> int:
    left = f"; the data are in {folder}" if folder is not None else ""
    sys.stderr.write(f"{why}{left}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
