"""Notes: what an answer says beside its rows, and when it says nothing."""

from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches

import pytest

from aggregators.answering import notes
from ingest.operator_documents import DocumentKind
from tests.aggregators.published_cells import NOW, Source, document, empty_source, fill_every_cube, route, told

MIDNIGHT = NOW.replace(hour=0)
YESTERDAY = MIDNIGHT - timedelta(days=1)
WIDE = {"from_": "2026-11-18", "to": "2026-11-21"}


@pytest.fixture
def source() -> Iterator[Source]:
    """A source without any cell."""
    made = empty_source()
    yield made
    made.connection.close()


def test_before_anything_was_published(source: Source) -> None:
    """Without a publication the answer has no rows, no time up to which it is complete, and says so."""
    found = told(source, "R1", compare="previous")
    assert (found.answer.table.num_rows, found.answer.published, found.comparison) == (0, None, None)
    assert any("Nothing was published yet" in note for note in found.notes)
    assert found.answer.table.column_names == ["route", "tasks", "share"]


@pytest.mark.parametrize(
    ("measure", "put", "told_of", "silent_about"),
    [
        pytest.param("R1", (), ("tidegate manifest put FILE --data DIR",), ("prices",), id="no manifest"),
        pytest.param("R5", ("manifest",), ("tidegate prices put FILE --data DIR",), ("manifest put",), id="no prices"),
        pytest.param("R5", ("manifest", "prices"), (), ("put",), id="both are there"),
        pytest.param("R2", (), (), ("put",), id="no name of the manifest in it"),
        pytest.param("A3", (), (), ("put",), id="counts of requests"),
    ],
)
def test_missing_documents_are_told(
    source: Source, measure: str, put: tuple[DocumentKind, ...], told_of: tuple[str, ...], silent_about: tuple[str, ...]
) -> None:
    """An answer whose names or prices nobody posted says so, with the command that mends it."""
    source.documents = [document(kind, 1, YESTERDAY) for kind in put]
    fill_every_cube(source, [YESTERDAY])
    said = " ".join(told(source, measure, **WIDE).notes)
    assert [words for words in told_of if words not in said] == []
    assert [words for words in silent_about if words in said] == []


def test_a_document_that_waits_is_told(source: Source) -> None:
    """A manifest that was put after the newest publication is told of as such, and not as missing."""
    fill_every_cube(source, [YESTERDAY])
    source.documents = [document("manifest", 1, YESTERDAY)]
    [note] = told(source, "R1", **WIDE).notes
    assert "after the newest publication" in note


def test_notes_of_the_source_come_first(source: Source) -> None:
    """What the source has to say, such as a follower that has stopped, stands before everything else."""
    source.said = ["The follower has stopped."]
    assert told(source, "R1").notes[0] == "The follower has stopped."


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        pytest.param({"from_": "2026-10-01", "to": "2026-10-02"}, "between 2026-11-19T00:00:00Z and", id="elsewhere"),
        pytest.param({"by": "route,model", **WIDE}, "no cell of this combination", id="never of this combination"),
        pytest.param({"by": "route,region", **WIDE}, "enough devices", id="too few devices"),
        pytest.param({"route": "egde", **WIDE}, "No published cell has that route; did you mean edge?", id="misspelt"),
        pytest.param({"route": "17", **WIDE}, "No published cell has that route; there are: edge.", id="unlike any"),
        pytest.param({"from_": "2026-11-19T00:30"}, "widened to whole hours", id="widened"),
    ],
)
def test_what_has_to_be_said(source: Source, parameters: dict[str, str], words: str) -> None:
    """An answer that is not what was expected says why."""
    source.documents = [document("manifest", 1, YESTERDAY)]
    route(source, YESTERDAY, "edge", 5, grain="day")
    route(source, YESTERDAY, "edge", 5)
    source.withhold("R1", YESTERDAY, cube="route, region", grain="day", cells=3)
    source.publish()
    said = told(source, "R1", **parameters).notes
    assert any(words in note for note in said), said


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        pytest.param(1, "What gates counted in 1 span of this range is unknown", id="one"),
        pytest.param(1200, "What gates counted in 1,200 spans of this range is unknown", id="many"),
        pytest.param(0, None, id="none"),
    ],
)
@pytest.mark.parametrize(
    ("asked", "in_range"),
    [
        pytest.param(WIDE, True, id="all tiers"),
        pytest.param({**WIDE, "tier": "managed"}, True, id="one tier, and nobody knows of which tier they are"),
        pytest.param({**WIDE, "by": "outcome"}, True, id="by outcome"),
        pytest.param({"from_": "2026-11-18", "to": "2026-11-19"}, False, id="a range in which all is known"),
    ],
)
def test_what_gates_did_not_tell_is_told(
    source: Source, unknown: int, words: str | None, asked: dict[str, str], in_range: bool
) -> None:
    """An answer over an hour of which gates' counts are missing says so, in whatever way it was asked."""
    source.cell("A3", YESTERDAY, {"unknown_spans": unknown}, cube="", tier="all")
    source.cell("A3", YESTERDAY, {"unknown_spans": unknown}, cube="", tier="all", grain="day")
    source.publish()
    said = [note for note in told(source, "A3", **asked).notes if "What gates counted" in note]
    assert [note for note in said if words and note.startswith(words)] == said
    assert bool(said) == (in_range and words is not None)


def test_near_names_are_looked_for_a_few_times(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many values no cell has, near names are looked for so few that nobody else has to wait for it."""
    looked_for: list[str] = []

    def looked(value: str, known: set[str]) -> list[str]:
        looked_for.append(value)
        return get_close_matches(value, known)

    monkeypatch.setattr(notes, "get_close_matches", looked)
    route(source, YESTERDAY, "edge", 5, grain="day")
    source.publish()
    said = told(source, "R1", route=",".join(["edge", *(f"egde{number}" for number in range(90))]), **WIDE).notes
    assert any("did you mean edge?" in note for note in said)
    assert looked_for == [f"egde{number}" for number in range(notes.MANY_UNKNOWN)]


def test_a_plain_answer_says_nothing_more(source: Source) -> None:
    """Where there is nothing to add there are no notes."""
    source.documents = [document("manifest", 1, YESTERDAY)]
    route(source, YESTERDAY, "edge", 5, grain="day")
    source.publish()
    assert told(source, "R1", route="edge", **WIDE).notes == ()
