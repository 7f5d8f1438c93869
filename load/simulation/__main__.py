"""`python -m load.simulation`: many seeds, or one of them with everything that happened in it.

    python -m load.simulation --seeds 10000 --jobs 2          # prints the first one, which --first-seed repeats
    python -m load.simulation --seed 4711 --trace

A seed gives the same trace wherever it runs. What is wrong in one is printed with its trace, and the exit code is 1.
"""

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from load.simulation.check import Broken
from load.simulation.run import Ended, run_seed, run_seeds

CHUNK = 100
TELL_EVERY = 1_000
FIRST_SEEDS = 1 << 32
"""Below it a first seed is drawn."""

MOST_TRACES = 3
"""Traces printed; further failing seeds are named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    asked = _parser().parse_args(arguments)
    if asked.seed is not None:
        return _one(asked.seed, traced=asked.trace)
    first = secrets.randbelow(FIRST_SEEDS) if asked.first_seed is None else asked.first_seed
    print(f"first seed {first}", flush=True)
    return _many(range(first, first + asked.seeds), jobs=asked.jobs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--first-seed", type=int, help="the first of them; any, and printed, where none is given")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share them")
    parser.add_argument("--seed", type=int, help="this one seed alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    return parser


def _one(seed: int, *, traced: bool) -> int:
    ended = run_seed(seed, tell=print if traced else None)
    print(_summary(_Total([ended])))
    return int(bool(ended.findings))


def _many(seeds: range, *, jobs: int) -> int:
    total, began = _Total(), time.monotonic()
    for ended in _run(seeds, jobs=jobs):
        total.add(ended)
        if ended.findings:
            _show(ended, total)
        if total.seeds % TELL_EVERY == 0:
            print(
                f"{total.seeds} seeds in {time.monotonic() - began:.0f} s, {total.counts['reports']} reports",
                flush=True,
            )
    print(_summary(total))
    return int(bool(total.failed))


def _run(seeds: range, *, jobs: int) -> Iterator[Ended]:
    """Every seed's end, in their order."""
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for chunk in pool.map(run_seeds, chunks):
            yield from chunk


def _show(ended: Ended, total: "_Total") -> None:
    print(f"seed {ended.seed}: " + "; ".join(what for _, what in ended.findings))
    if total.failed <= MOST_TRACES:
        run_seed(ended.seed, tell=print)
        print(f"again: python -m load.simulation --seed {ended.seed} --trace", flush=True)


class _Total:
    """Seeds added up."""

    def __init__(self, ended: Sequence[Ended] = ()) -> None:
        self.seeds = 0
        self.first = self.last = 0
        self.failed = 0
        self.counts: Counter[str] = Counter()
        self.broken: Counter[Broken] = Counter()
        for one in ended:
            self.add(one)

    def add(self, ended: Ended) -> None:
        """One more."""
        self.first = ended.seed if not self.seeds else self.first
        self.last = ended.seed
        self.seeds += 1
        self.failed += bool(ended.findings)
        self.broken.update(finding.broken for finding in ended.findings)
        for name in ("reports", "accepted", "refused", "in_doubt", "duplicates", "faults"):
            self.counts[name] += getattr(ended, name)


def _summary(total: _Total) -> str:
    counts = total.counts
    return (
        f"{total.seeds} seeds ({total.first} to {total.last}), {counts['faults']} faults, {counts['reports']} reports: "
        f"{counts['accepted']} accepted, {counts['refused']} refused, {counts['in_doubt']} in doubt; "
        f"{counts['duplicates']} sent again and counted once\n"
        + ", ".join(f"{broken.value} {total.broken[broken]}" for broken in Broken)
    )


if __name__ == "__main__":
    sys.exit(main())
