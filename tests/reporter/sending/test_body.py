"""Bodies: what the gate's own reader finds in them, and that its limits are kept."""

import pytest

from ingest.body import MAX_BODY, MAX_RATIO, expand, split_sequence
from ingest.problems import Rejected
from reporter.messages import Message, with_identifiers
from reporter.queue.nouns import Queued, Waiting
from reporter.sending import body as bodies
from reporter.sending.body import body
from tests.reporter.made_up import report

NAME = report().report
IDENTIFIED = {NAME: {"device_id": "a-device"}}
NOBODY: dict[str, dict[str, str]] = {NAME: {}}


def waiting(*messages: Message) -> list[Waiting]:
    """Reports with these messages."""
    template = report()
    fields = {name: getattr(template, name) for name in Queued.__slots__}
    return [Waiting(place, Queued(**{**fields, "message": message})) for place, message in enumerate(messages)]


def read(posted: bodies.Body) -> list[bytes | Rejected]:
    """The messages as the gate cuts them, which checks every limit."""
    return list(split_sequence(expand(posted.content, posted.coding or "identity")))


def test_what_the_gate_reads() -> None:
    """The gate finds each message, with the identifiers in it, in the order of the batch."""
    messages = [report().message for _ in range(50)]
    posted = body(waiting(*messages), IDENTIFIED)
    assert read(posted) == [with_identifiers(one, IDENTIFIED[NAME]) for one in messages]
    assert (posted.coding, len(posted.waiting)) == ("gzip", 50)


@pytest.mark.parametrize("names", [("route_window", "health_window"), ("health_window", "route_window")])
def test_each_type_has_its_own_identifiers(names: tuple[str, str]) -> None:
    """What may stand in reports of one type is in no report of another one beside it."""
    allowed = {"route_window": {"device_id": "a-device"}, "health_window": {"serial": "a-serial"}}
    batch = [Waiting(place, report(name)) for place, name in enumerate(names)]
    sent = read(body(batch, allowed))
    assert sent == [with_identifiers(one.queued.message, allowed[one.queued.report]) for one in batch]
    assert sent[0] != with_identifiers(batch[0].queued.message, allowed[names[1]])


def test_no_more_than_the_gate_takes() -> None:
    """What does not go into one body is left for the next; identifiers count as well."""
    size = 60_000
    posted = body(waiting(*[Message(bytes(size), 30)] * 30), {NAME: {"serial": "x" * 1000}})
    assert len(posted.waiting) == MAX_BODY // (size + 1000)
    assert len(read(posted)) == len(posted.waiting)


def test_what_compresses_too_well() -> None:
    """A body that would expand further than the gate allows is sent as it is."""
    posted = body(waiting(Message(bytes(200_000), 30)), NOBODY)
    assert posted.coding is None
    assert len(read(posted)) == 1


def test_what_does_not_compress() -> None:
    """A body that compression makes longer is sent as it is, without saying anything else of it."""
    posted = body(waiting(Message(bytes(6), 0)), NOBODY)
    assert posted.headers == {"Content-Type": "application/avro-sequence"}


def test_limits_are_those_of_the_gate() -> None:
    """The reporter's idea of the limits is the gate's."""
    assert (bodies.MAX_BODY, bodies.MAX_RATIO) == (MAX_BODY, MAX_RATIO)


def test_a_message_that_is_none() -> None:
    """A message without room for identifiers is named and left out; the others are sent."""
    good = report().message
    posted = body(waiting(good, Message(b"\x02" * 50, 20), good), NOBODY)
    assert posted.unsendable == (1,)
    assert [one.place for one in posted.waiting] == [0, 2]


@pytest.mark.parametrize("number", [1, 2])
def test_the_same_reports_make_the_same_bytes(number: int) -> None:
    """Nothing of the moment is in a body: a second try is the first one, byte for byte."""
    batch = waiting(*[report().message] * number * 10)
    assert body(batch, NOBODY) == body(batch, NOBODY)
