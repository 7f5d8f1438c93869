"""A3: a gate's series that ended without its final record is one unknown span, once the log tells that it has ended."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from aggregators.publication.cubes import prepare
from ingest.telemetry.outcomes import APPEND_SECONDS, HEARTBEAT_SECONDS
from tests.aggregators.hand_made import HOUR, MEASURES, OPEN_TIERS, Publisher, Row, fresh_rollups, insert

SILENCE = 120
AN_HOUR = 3600
SEEDS = range(8)


class Record(NamedTuple):
    """One record of a gate's series: of which gate, when it ends in seconds after `HOUR`, and whether it is final."""

    gate: str
    ends: int
    final: bool = False


Log = Sequence[Record]
"""Records in the order of the log; those of a gate have the numbers 0, 1, 2, ..."""


class Follower:
    """Applies records to a publisher's rollups, as they come."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._places = count()
        self._ends: dict[str, int] = {}
        self._numbers: Counter[str] = Counter()

    def apply(self, *records: Record) -> None:
        """Take the next records of the log."""
        insert(self.publisher.connection, "gate_spans", *[self._row(record) for record in records])

    def _row(self, record: Record) -> Row:
        gate = record.gate
        begins = self._ends.get(gate, record.ends)
        number = self._numbers[gate]
        self._ends[gate], self._numbers[gate] = record.ends, number + 1
        place = {"gate": gate, "sequence": number, "place": next(self._places)}
        return {**place, "from_time": at(begins), "to_time": at(record.ends), "final": record.final}

    def lose(self, gate: str) -> None:
        """The next number of a gate never comes."""
        self._numbers[gate] += 1


def at(seconds: int) -> datetime:
    """So many seconds after `HOUR`."""
    return HOUR + timedelta(seconds=seconds)


def shown(publisher: Publisher, grain: str = "hour") -> Mapping[int, int]:
    """Unknown spans that are shown, by hours after `HOUR`; those that have come down to 0 are left out."""
    rows = [row for row in publisher.answer("A3", grain=grain) if row["tier"] == "all" and row["unknown_spans"]]
    return {(row["start"] - HOUR) // timedelta(hours=1): row["unknown_spans"] for row in rows}


def ended(log: Log) -> Mapping[int, int]:
    """The rule once more, in plain Python: series that have ended without a final record, by the hour of their end."""
    ends: dict[str, tuple[int, int, bool]] = {}
    for place, record in enumerate(log):
        _, latest, final = ends.get(record.gate, (0, record.ends, False))
        ends[record.gate] = (place, max(latest, record.ends), final or record.final)
    return Counter(
        time // AN_HOUR
        for place, time, final in ends.values()
        if not final and any(other > place and later >= time + SILENCE for other, later, _ in ends.values())
    )


@pytest.fixture(name="publisher")
def _publisher(tmp_path: Path) -> Iterator[Publisher]:
    yield from publishers(tmp_path / "published")


def publishers(directory: Path) -> Iterator[Publisher]:
    """One publisher, of A3 alone."""
    with fresh_rollups() as connection:
        yield Publisher(directory, connection, tiers=dict(OPEN_TIERS), measures={"A3": MEASURES["A3"]})


CASES: Mapping[str, tuple[Log, Mapping[int, int]]] = {
    "ended in good order": ([Record("g", 9, final=True), Record("h", 500)], {}),
    "nobody else writes, so nothing tells that it ended": ([Record("g", 0), Record("g", 900)], {}),
    "less than the silence behind it": ([Record("g", 9), Record("h", 10), Record("h", 9 + SILENCE - 1)], {}),
    "the silence has passed behind it": ([Record("g", 9), Record("h", 10), Record("h", 9 + SILENCE)], {0: 1}),
    "the one behind it has ended too, and in good order": ([Record("g", 9), Record("h", 500, final=True)], {0: 1}),
    "one of three that write at once": (
        [Record("g", 5), Record("h", 6), Record("i", 6), Record("h", 160), Record("i", 160)],
        {0: 1},
    ),
    "killed again and again: all but the last": (
        [Record("g", 5), Record("h", 200), Record("i", 400), Record("j", 600)],
        {0: 3},
    ),
    "each where it ended, and not where that was noticed": (
        [Record("g", 3590), Record("h", 3600), Record("h", 2 * AN_HOUR), Record("i", 9 * AN_HOUR)],
        {0: 1, 2: 1},
    ),
    "all there was of it is its first record": ([Record("g", 0), Record("h", 500)], {0: 1}),
    "it writes on, by a clock that was set back": ([Record("g", 1), Record("h", 500, final=True), Record("g", 2)], {}),
    "the clock of the next one is behind: not told yet": ([Record("g", 900), Record("h", 10), Record("h", 800)], {}),
    "the clock of the next one has caught up": ([Record("g", 900), Record("h", 10), Record("h", 1020)], {0: 1}),
}


@pytest.mark.parametrize(("log", "unknown"), CASES.values(), ids=CASES.keys())
def test_a_series_without_an_end_is_one_unknown_span(
    publisher: Publisher, log: Log, unknown: Mapping[int, int]
) -> None:
    """What each gate left behind in the log is shown as the case says, and counted as often by outcome."""
    Follower(publisher).apply(*log)
    publisher.publish()
    assert (shown(publisher), ended(log)) == (unknown, unknown)
    assert sum(row["reports"] for row in publisher.answer("A3", "outcome")) == sum(unknown.values())


def test_a_number_missing_and_the_end_missing_are_two(publisher: Publisher) -> None:
    """Numbers that never came count beside the end that never came, each in its hour."""
    follower = Follower(publisher)
    follower.apply(Record("g", 5))
    follower.lose("g")
    follower.lose("g")
    follower.apply(Record("g", 9), Record("g", AN_HOUR), Record("h", 2 * AN_HOUR))
    publisher.publish()
    assert shown(publisher) == {0: 2, 1: 1}


@pytest.mark.parametrize(
    ("silent_until", "goes_on_at"),
    [
        pytest.param(200, 210, id="within the hour"),
        pytest.param(200, AN_HOUR + 10, id="in the hour after the one in which it was found silent"),
        pytest.param(3 * AN_HOUR, 3 * AN_HOUR + 10, id="hours later, when all between are published"),
    ],
)
def test_a_gate_that_hung_and_goes_on_is_no_gap(publisher: Publisher, silent_until: int, goes_on_at: int) -> None:
    """What was shown while a gate was silent comes down to 0 with its next record, by the hour and by the day."""
    publisher.at = HOUR + timedelta(days=2)
    follower = Follower(publisher)
    follower.apply(Record("g", 5), Record("h", 6), Record("h", silent_until))
    publisher.publish()
    assert (shown(publisher), shown(publisher, "day")) == ({0: 1}, {-8: 1})
    follower.apply(Record("h", goes_on_at), Record("g", goes_on_at), Record("g", goes_on_at + 1))
    publisher.publish()
    assert (shown(publisher), shown(publisher, "day")) == ({}, {})
    assert publisher.values("A3")[()]["unknown_spans"] == 0
    follower.apply(Record("h", goes_on_at + SILENCE + 1))
    publisher.publish()
    assert shown(publisher) == {goes_on_at // AN_HOUR: 1}


def test_an_hour_is_looked_at_when_the_silence_is_noticed(publisher: Publisher) -> None:
    """An hour that was published without a gap shows it once the next gate has told of two minutes, hours later."""
    follower = Follower(publisher)
    follower.apply(Record("g", 5), Record("g", 1800))
    publisher.publish(closed_to=at(AN_HOUR))
    follower.apply(Record("h", 5 * AN_HOUR))
    publisher.publish(closed_to=at(2 * AN_HOUR))
    assert shown(publisher) == {0: 1}
    looked = publisher.publish(closed_to=at(2 * AN_HOUR))
    assert looked.cells == 0


def test_an_hour_that_is_not_over_waits(publisher: Publisher) -> None:
    """A series that ended is shown when its hour is over, though that was noticed before."""
    follower = Follower(publisher)
    follower.apply(Record("g", 5))
    publisher.publish()
    follower.apply(Record("h", 500))
    publisher.publish(closed_to=HOUR)
    assert shown(publisher) == {}
    publisher.publish(closed_to=at(AN_HOUR))
    assert shown(publisher) == {0: 1}


def test_what_was_let_go_of_stays_as_it_was_published(publisher: Publisher) -> None:
    """When the records of a month ago are let go of, what was shown of them stays, and nothing is unknown for it."""
    follower = Follower(publisher)
    month = 31 * 24 * AN_HOUR
    follower.apply(Record("g", 5), Record("h", 6), Record("h", 500), Record("h", 900, final=True))
    follower.apply(Record("i", month), Record("i", month + 5))
    publisher.publish()
    assert shown(publisher) == {0: 1}
    publisher.connection.execute("DELETE FROM gate_spans WHERE to_time < $kept", {"kept": at(AN_HOUR)})
    publisher.connection.execute("INSERT INTO changed VALUES ('received', $hour)", {"hour": HOUR})
    publisher.publish()
    assert shown(publisher) == {0: 1}


def test_a_final_record_that_was_let_go_of_is_not_missed(publisher: Publisher) -> None:
    """Where a clock was set back the final record goes before others of its series, and nothing is unknown for it."""
    follower = Follower(publisher)
    day = 24 * AN_HOUR
    follower.apply(Record("g", 5), Record("g", day), Record("g", 9, final=True), Record("h", day + 500, final=True))
    follower.apply(Record("i", 40 * day, final=True))
    publisher.publish()
    assert shown(publisher) == {}
    publisher.connection.execute("DELETE FROM gate_spans WHERE to_time < $kept", {"kept": at(day - 8 * AN_HOUR)})
    publisher.connection.execute("INSERT INTO changed VALUES ('received', $hour)", {"hour": at(day)})
    publisher.publish()
    assert shown(publisher) == {}


def test_series_are_not_compared_each_with_each(publisher: Publisher) -> None:
    """What ended is found without a join, of which the cost would be the square of how often gates were started."""
    prepare(publisher.connection)
    [(_, plan)] = publisher.connection.execute("EXPLAIN FROM ended_series('infinity'::TIMESTAMP)").fetchall()
    assert "window" in plan.lower()
    assert not any(word in plan.lower() for word in ("join", "product"))


def test_the_silence_is_longer_than_a_gate_may_be_silent(publisher: Publisher) -> None:
    """A gate that counts nothing has two chances to say so before its series counts as ended."""
    prepare(publisher.connection)
    [(silence,)] = publisher.connection.execute("SELECT silence()").fetchall()
    assert silence == timedelta(seconds=SILENCE)
    assert silence.total_seconds() >= 2 * HEARTBEAT_SECONDS > HEARTBEAT_SECONDS + 2 * APPEND_SECONDS


def made_up(choose: random.Random) -> Log:
    """Records of gates that begin, hang, are killed or stopped, and whose clocks are now and then set back."""
    log: list[Record] = []
    clock, gates, number = 0, dict.fromkeys("ab", True), count()
    while len(log) < 60:
        clock += choose.choice([1, 1, 7, 50, 130, 700, 4000])
        gate = choose.choice(list(gates))
        if choose.random() < 0.1:
            clock = max(0, clock - 3000)
        last = max((record.ends for record in log if record.gate == gate), default=0)
        final = choose.random() < 0.1
        log.append(Record(gate, max(last, clock), final))
        if final or choose.random() < 0.1:
            del gates[gate]
            gates[f"gate {next(number)}"] = True
    return log


@pytest.mark.parametrize("seed", SEEDS)
def test_however_often_it_was_published_the_same_is_shown(tmp_path: Path, seed: int) -> None:
    """Publications after any part of the log, open hours or not, come to what the plain rule says of all of it."""
    choose = random.Random(seed)
    log = made_up(choose)
    with fresh_rollups() as connection:
        publisher = Publisher(tmp_path, connection, tiers=dict(OPEN_TIERS), measures={"A3": MEASURES["A3"]})
        follower = Follower(publisher)
        cuts = [0, *sorted(choose.sample(range(1, len(log)), 7)), len(log)]
        for begin, end in pairwise(cuts):
            follower.apply(*log[begin:end])
            if choose.random() < 0.5:
                publisher.publish(closed_to=at(log[end - 1].ends // AN_HOUR * AN_HOUR))
            else:
                publisher.publish()
                assert shown(publisher) == ended(log[:end])
        publisher.publish()
        assert shown(publisher) == ended(log)
