"""When another producer is made: at once after the first failure, and then ever more seldom until a batch is stored."""

from dataclasses import dataclass, field

import pytest

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka.producer import Producer
from ingest.log.kafka.producers import Backoff, Producers
from tests.ingest.log.kafka.producer_stand_in import StandInProducer, Told

FAILED = InDoubt("the log did not confirm: OutOfOrderSequenceNumber")


@dataclass
class Made:
    """Producers that start, or do not."""

    refusal: Exception | None = None
    producers: Producers = field(init=False)
    backoff: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.producers = Producers(lambda: StandInProducer({}, refusal=self.refusal))
        self.producers._retries = self.backoff

    async def failed(self, times: int) -> Producer:
        """The last of so many that failed, one after the other."""
        failed = []
        for _ in range(times):
            failed.append(await self.producers.running())
            self.producers.retire(failed[-1], FAILED)
        return failed[-1]

    async def refused(self, times: int) -> None:
        """Nobody can start."""
        self.refusal = LogUnavailable("no broker could be used")
        for _ in range(times):
            with pytest.raises(LogUnavailable, match="no broker could be used"):
                await self.producers.running()
        self.refusal = None


def test_waits_grow_until_there_is_a_success() -> None:
    """Each wait is twice the one before, up to the longest, and after a success they begin anew."""
    backoff = Backoff(0.5, longest=3.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5


async def test_producers_that_go_on_failing() -> None:
    """The first that fails is replaced at once, those after it after a while that grows."""
    made = Made()
    await made.failed(1)
    assert made.backoff.waits == []
    await made.failed(4)
    assert made.backoff.waits == [0.5, 1.0, 2.0, 4.0]
    await made.producers.close(seconds=1)


async def test_a_stored_batch_is_a_success() -> None:
    """A batch that is stored ends the waiting, unless it went by a producer that was replaced."""
    made = Made()
    replaced = await made.failed(3)
    made.producers.stored(replaced)
    await made.failed(1)
    assert made.backoff.waits == [0.5, 1.0, 2.0]
    made.producers.stored(await made.producers.running())
    await made.failed(2)
    assert made.backoff.waits == [0.5, 1.0, 2.0, 0.5]
    await made.producers.close(seconds=1)


async def test_a_cluster_out_of_reach_is_tried_ever_more_seldom() -> None:
    """Attempts to connect count as failures, and so does a batch that fails before any is stored."""
    made = Made()
    await made.refused(3)
    await made.failed(1)
    assert made.backoff.waits == [0.5, 1.0, 2.0, 4.0]
    await made.producers.close(seconds=1)


async def test_whoever_asks_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """While no producer is made, whoever asks is refused at once with what went wrong before."""
    monkeypatch.setattr("ingest.log.kafka.producers.RETRY_SECONDS", 1000.0)
    producers = Producers(lambda: StandInProducer({}))
    for _ in range(2):
        producers.retire(await producers.running(), FAILED)
    with pytest.raises(LogUnavailable, match=r"what was sent before failed: .*OutOfOrderSequenceNumber"):
        await producers.running()
    await producers.close(seconds=1)
