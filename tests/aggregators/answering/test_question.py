"""Reading a question: what each query asks, what is refused, and that a refusal repeats nothing that was sent."""

from datetime import datetime
from random import Random
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.answering.cursors import Cursor, decode_cursor
from aggregators.answering.problems import Refusal, Refused
from aggregators.answering.question import Question, measure_named, read_question
from aggregators.answering.spans import Span, asked_span, iso, parse_time
from aggregators.times import naive_utc
from tests.aggregators.published_cells import MEASURES, NOW, NOW_MS

R1, R3, F2, V2 = (MEASURES[name] for name in ("R1", "R3", "F2", "V2"))
SEED = 20261120


def ask(query: str, measure: str = "R1") -> Question:
    """The question of a query such as `by=route&tier=byod`."""
    parameters = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)]
    return read_question(MEASURES[measure], parameters, now=NOW)


def refused(query: str, measure: str = "R1") -> Refused:
    """How a query is refused."""
    with pytest.raises(Refused) as caught:
        ask(query, measure)
    return caught.value


def test_the_clock_of_these_tests() -> None:
    """The two ways in which these tests write their now are one time."""
    assert naive_utc(NOW_MS) == NOW


@pytest.mark.parametrize(
    ("query", "measure", "columns", "cube"),
    [
        pytest.param("by=route", "R1", ("route",), "route", id="one dimension"),
        pytest.param("by=region,route", "R1", ("region", "route"), "route, region", id="in the order asked"),
        pytest.param("by=region&by=route", "R1", ("region", "route"), "route, region", id="repeated instead of listed"),
        pytest.param("by=route,route", "R1", ("route",), "route", id="a name twice is one"),
        pytest.param("by=tier,route", "R1", ("tier", "route"), "route", id="every cube has the tier"),
        pytest.param("by=route&region=eu-west", "R1", ("route", "region"), "route, region", id="a filter counts"),
        pytest.param("by=route&route=edge", "R1", ("route",), "route", id="asked and filtered by"),
        pytest.param("by=route&tier=byod", "R1", ("route", "tier"), "route", id="a filter on the tier is shown"),
        pytest.param("", "R1", ("route",), "route", id="the first combination where none is asked"),
        pytest.param("", "R3", (), "", id="which may be none"),
        pytest.param(
            "region=eu-west", "R1", ("route", "region"), "route, region", id="the first that can be filtered so"
        ),
        pytest.param("tier=byod", "R1", ("route", "tier"), "route", id="the tier does not choose"),
        pytest.param("by=", "R3", (), "", id="nothing was asked for by name"),
        pytest.param("by=tier", "R3", ("tier",), "", id="the tier alone"),
        pytest.param("by=removal", "V2", ("removal",), "removal", id="a cube of another part"),
    ],
)
def test_columns_and_cube(query: str, measure: str, columns: tuple[str, ...], cube: str) -> None:
    """What is asked and filtered by are the columns, and exactly their cube is read."""
    question = ask(query, measure)
    assert (question.columns, question.cube.name) == (columns, cube)


@pytest.mark.parametrize(
    ("query", "start", "end", "widened"),
    [
        pytest.param("", "2026-11-17T12:00", "2026-11-20T12:00", False, id="the last three days"),
        pytest.param("bucket=day", "2026-11-18T00:00", "2026-11-21T00:00", False, id="three days with today"),
        pytest.param("from=2026-11-20", "2026-11-20T00:00", "2026-11-20T12:00", False, id="until now"),
        pytest.param("to=2026-11-20", "2026-11-17T00:00", "2026-11-20T00:00", False, id="three days before that"),
        pytest.param(
            "from=2026-11-20T08:10&to=2026-11-20T09:20Z",
            "2026-11-20T08:00",
            "2026-11-20T10:00",
            True,
            id="part of an hour",
        ),
        pytest.param(
            "from=2026-11-20T08:00&to=2026-11-20T09:00&bucket=day",
            "2026-11-20T00:00",
            "2026-11-21T00:00",
            True,
            id="part of a day",
        ),
        pytest.param(
            "from=2026-11-20T08:00+02:00",
            "2026-11-20T06:00",
            "2026-11-20T12:00",
            False,
            id="an offset",
        ),
        pytest.param(
            "from=2026-11-20&to=2026-12-20",
            "2026-11-20T00:00",
            "2026-12-20T00:00",
            False,
            id="the future is not refused",
        ),
        pytest.param("from=2025-10-16&to=2026-11-20", "2025-10-16T00:00", "2026-11-20T00:00", False, id="400 days"),
    ],
)
def test_range(query: str, start: str, end: str, *, widened: bool) -> None:
    """A range is in whole hours, or whole days where it is read by day, and says whether it was widened."""
    question = ask(query)
    assert (question.span, question.widened) == (
        Span(datetime.fromisoformat(start), datetime.fromisoformat(end)),
        widened,
    )


def test_a_cube_of_days_is_asked_in_days() -> None:
    """A combination that is published by day alone widens the range to days, whatever the bucket."""
    question = ask("by=rule&from=2026-11-19T08:00&to=2026-11-19T09:00", "F2")
    assert (iso(question.span.start), iso(question.span.end)) == ("2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z")
    assert question.widened


REFUSED = [
    pytest.param("rout=edge", "R1", Refusal.UNKNOWN_PARAMETER, "did you mean route?", id="a misspelt dimension"),
    pytest.param("form=2026-11-20", "R1", Refusal.UNKNOWN_PARAMETER, "did you mean from?", id="a misspelt parameter"),
    pytest.param("decision_reason=cost", "R1", Refusal.UNKNOWN_PARAMETER, "known: ", id="another measure's dimension"),
    pytest.param("devices=5", "R1", Refusal.UNKNOWN_PARAMETER, "known: ", id="what no answer has"),
    pytest.param("by=regoin", "R1", Refusal.UNKNOWN_DIMENSION, "did you mean region?", id="by a misspelt dimension"),
    pytest.param("by=devices", "R1", Refusal.UNKNOWN_DIMENSION, "known: ", id="by what no answer has"),
    pytest.param("by=start", "R1", Refusal.UNKNOWN_DIMENSION, "known: ", id="time is a bucket"),
    pytest.param("by=region", "R1", Refusal.NOT_PUBLISHED_SO, "by=route,region", id="a part of a combination"),
    pytest.param("by=route,region,model", "R1", Refusal.NOT_PUBLISHED_SO, "by=route,region", id="more than one"),
    pytest.param("by=route&model=m&region=r", "R1", Refusal.NOT_PUBLISHED_SO, "by=route,region", id="by filters"),
    pytest.param("by=consent,rule", "F2", Refusal.NOT_PUBLISHED_SO, "by=rule", id="across parts"),
    pytest.param("bucket=week", "R1", Refusal.BAD_BUCKET, "known: day, hour", id="no such bucket"),
    pytest.param("by=rule&bucket=hour", "F2", Refusal.BAD_BUCKET, "known: day", id="published by day alone"),
    pytest.param("from=yesterday", "R1", Refusal.BAD_TIME, "write 2026-11-20", id="no time"),
    pytest.param("to=", "R1", Refusal.BAD_TIME, "write 2026-11-20", id="an empty time"),
    pytest.param("from=0001-01-01T00:00+23:59", "R1", Refusal.BAD_TIME, "", id="before time began"),
    pytest.param("from=1999-12-31", "R1", Refusal.BAD_TIME, "", id="another century"),
    pytest.param("from=" + "2" * 5000, "R1", Refusal.BAD_TIME, "", id="absurdly long"),
    pytest.param("from=2026-11-20&to=2026-11-19", "R1", Refusal.BAD_RANGE, "before", id="backwards"),
    pytest.param("from=2026-11-20&to=2026-11-20", "R1", Refusal.BAD_RANGE, "before", id="empty"),
    pytest.param("from=2025-10-15&to=2026-11-20", "R1", Refusal.BAD_RANGE, "before", id="401 days"),
    pytest.param("from=2026-11-20&from=2026-11-20", "R1", Refusal.REPEATED_PARAMETER, "from", id="a time twice"),
    pytest.param("bucket=day&bucket=hour", "R1", Refusal.REPEATED_PARAMETER, "bucket", id="a bucket twice"),
    pytest.param("route=", "R1", Refusal.BAD_FILTER, "route takes", id="an empty value"),
    pytest.param("route=edge,,refused", "R1", Refusal.BAD_FILTER, "route takes", id="an empty one among others"),
    pytest.param("route=" + "x" * 201, "R1", Refusal.BAD_FILTER, "route takes", id="a value too long"),
    pytest.param("route=" + ",".join("abcdefghij" * 11), "R1", Refusal.BAD_FILTER, "route takes", id="too many"),
    pytest.param("compare=next", "R1", Refusal.BAD_COMPARE, "previous", id="no such comparison"),
    pytest.param("limit=0", "R1", Refusal.BAD_LIMIT, "", id="no rows"),
    pytest.param("limit=10001", "R1", Refusal.BAD_LIMIT, "", id="too many rows"),
    pytest.param("limit=1e3", "R1", Refusal.BAD_LIMIT, "", id="no whole number"),
    pytest.param("limit=" + "9" * 5000, "R1", Refusal.BAD_LIMIT, "", id="more digits than a number has"),
    pytest.param("cursor=", "R1", Refusal.BAD_CURSOR, "", id="an empty cursor"),
    pytest.param("cursor=AAAA", "R1", Refusal.BAD_CURSOR, "", id="a made-up cursor"),
    pytest.param("cursor=" + "A" * 5000, "R1", Refusal.BAD_CURSOR, "", id="an absurd cursor"),
]


@pytest.mark.parametrize(("query", "measure", "reason", "told"), REFUSED)
def test_refusals(query: str, measure: str, reason: Refusal, told: str) -> None:
    """What cannot be answered is refused with its reason and what there is instead."""
    refusal = refused(query, measure)
    assert refusal.reason is reason
    assert told in (refusal.detail or "")


def test_a_combination_that_is_not_published_is_answered_with_those_that_are() -> None:
    """The refusal of a combination lists every combination of the measure."""
    assert refused("by=region").offered == tuple(list(cube.dimensions) for cube in R1.cubes)


@pytest.mark.parametrize(
    ("name", "found"),
    [pytest.param("R1", "R1", id="as it is written"), pytest.param("r1", "R1", id="in small letters")],
)
def test_measure_by_name(name: str, found: str) -> None:
    """A measure is found by its name in any case."""
    assert measure_named(MEASURES, name).name == found


def test_an_unknown_measure_gets_the_nearest() -> None:
    """A measure that there is not is refused with all that there are."""
    with pytest.raises(Refused) as caught:
        measure_named(MEASURES, "R9")
    assert caught.value.reason is Refusal.UNKNOWN_MEASURE
    assert "R1" in (caught.value.detail or "")
    assert caught.value.offered == tuple(sorted(MEASURES))


HOSTILE = st.text(min_size=4).map(lambda text: f"Zq9{text}")
"""Texts that none of our own words contains."""


@given(name=HOSTILE, value=HOSTILE)
def test_a_refusal_repeats_nothing_that_was_sent(name: str, value: str) -> None:
    """No refusal holds a name or a value that was sent, whatever place it was sent in."""
    places = [
        [(name, value)],
        [("by", value)],
        [("by", f"route,{value}")],
        [("from", value)],
        [("bucket", value)],
        [("compare", value)],
        [("limit", value)],
        [("cursor", value)],
        [("route", value), ("region", value), ("model", value)],
        [("route", f"{value},")],
    ]
    for parameters in places:
        with pytest.raises(Refused) as caught:
            read_question(R1, parameters, now=NOW)
        assert "Zq9" not in repr((caught.value, caught.value.detail, caught.value.offered, caught.value.__cause__))


@given(
    publication=st.integers(0, 999_999_999),
    position=st.integers(0, 999_999_999),
    start=st.integers(0, 900_000),
    hours=st.integers(1, 9_600),
    digest=st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_a_cursor_is_read_as_it_was_written(
    publication: int, position: int, start: int, hours: int, digest: str
) -> None:
    """Every cursor comes back from its text as it was, and the text is safe in a URL."""
    span = Span(naive_utc(start * 3_600_000), naive_utc((start + hours) * 3_600_000))
    cursor = Cursor(publication, position, span, digest)
    text = cursor.encode()
    assert decode_cursor(text) == cursor
    assert text.replace("-", "").replace("_", "").isalnum()


def test_a_changed_cursor_is_refused() -> None:
    """No text that differs from a cursor in one character is taken for that cursor."""
    span = ask("").span
    text = Cursor(17, 1000, span, ask("").digest).encode()
    random = Random(SEED)
    for place in range(len(text)):
        other = text[:place] + random.choice([one for one in "Az09-_+/= \0é" if one != text[place]]) + text[place + 1 :]
        assert decoded(other) != decode_cursor(text)


def test_a_cursor_has_one_text() -> None:
    """No other last character stands for the same cursor, although base64 has bits to spare there."""
    for position in (1, 10, 100):
        cursor = Cursor(17, position, ask("").span, ask("").digest)
        others = [cursor.encode()[:-1] + one for one in ascii_letters + digits + "-_"]
        assert [other for other in others if decoded(other) == cursor] == [cursor.encode()]


def decoded(text: str) -> Cursor | Refusal:
    """The cursor in a text, or how it is refused."""
    try:
        return decode_cursor(text)
    except Refused as refusal:
        return refusal.reason


CURSOR = Cursor(17, 1000, ask("").span, ask("").digest).encode()


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("by=route,region", id="other columns"),
        pytest.param("by=tier,route", id="with the tier"),
        pytest.param("route=edge", id="filtered"),
        pytest.param("bucket=hour", id="in buckets"),
        pytest.param("from=2026-11-19", id="another range"),
    ],
)
def test_a_cursor_belongs_to_its_question(query: str) -> None:
    """A cursor is refused with any other question than its own."""
    assert refused(f"{query}&cursor={CURSOR}").reason is Refusal.BAD_CURSOR


@pytest.mark.parametrize("query", ["", "by=route", "limit=7", "from=2026-11-17T12:00&to=2026-11-20T12:00"])
def test_a_cursor_goes_with_the_same_question(query: str) -> None:
    """A cursor is taken however its question is written, and with another size of page."""
    question = ask(f"{query}&cursor={CURSOR}")
    assert question.cursor is not None
    assert question.cursor.position == 1000


def test_a_cursor_keeps_the_range_that_moved_on() -> None:
    """A range that was not given is that of the first page, however much later the next one is asked for."""
    later = read_question(R1, [("cursor", CURSOR)], now=NOW.replace(day=21))
    assert later.span == ask("").span


@given(ms=st.integers(946_684_800_000, 4_102_444_799_999), hours=st.integers(1, 400 * 24 - 2))
def test_spans_are_whole_and_hold_what_was_asked(ms: int, hours: int) -> None:
    """A span of any times lies on whole hours, holds them, and is wider by less than an hour on each side."""
    start, end = naive_utc(ms), naive_utc(ms + hours * 3_599_999)
    span = asked_span(start, end, unit="hour", now=NOW).span
    assert all(
        parse_time(iso(time)) == time and time.minute == 0 for time in (span.start, span.end) if time.year < 2100
    )
    assert 0 <= (start - span.start).total_seconds() < 3600
    assert 0 <= (span.end - end).total_seconds() < 3600
    assert span.previous.end == span.start
    assert span.previous.end - span.previous.start == span.end - span.start
