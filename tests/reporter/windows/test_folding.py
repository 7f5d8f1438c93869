"""Small rows together: which they are, and in what order rows stand."""

from typing import NamedTuple

import pytest

from reporter.windows.folding import Folding, tasks_of


class Part(NamedTuple):
    """So many tasks of one kind."""

    kind: str
    tasks: int


KINDS = [Part("document", 3), Part("field", 1), Part("action", 1), Part("field", 1)]

FOLDED = [
    pytest.param(Folding(1), [("action", 1), ("document", 3), ("field", 2)], id="one folds nothing"),
    pytest.param(Folding(2), [("document", 3), ("field", 2), ("other", 1)], id="one small row"),
    pytest.param(Folding(3), [("document", 3), ("other", 3)], id="small rows together"),
    pytest.param(Folding(4), [("other", 6)], id="all of them"),
    pytest.param(Folding(1, most=3), [("action", 1), ("document", 3), ("field", 2)], id="as many as may be"),
    pytest.param(Folding(1, most=2), [("document", 3), ("other", 3)], id="the smallest beyond the greatest number"),
    pytest.param(Folding(2, most=2), [("document", 3), ("other", 3)], id="the folded row is one of them"),
    pytest.param(Folding(1, most=1), [("other", 6)], id="no room but for the folded row"),
]


@pytest.mark.parametrize(("folding", "expected"), FOLDED)
def test_small_rows_are_folded(folding: Folding, expected: list[tuple[str, int]]) -> None:
    """Rows of fewer tasks than the tier asks for, or beyond the greatest number, become one that reads other."""
    rows = folding.rows(KINDS, lambda part: (part.kind,))
    assert [(kind, tasks_of(parts)) for (kind,), parts in rows] == expected


def test_a_row_that_reads_other_takes_the_folded_in() -> None:
    """What reads other throughout by itself and what is folded are one row."""
    rows = Folding(2).rows([Part("other", 5), Part("field", 1)], lambda part: (part.kind,))
    assert [(kind, tasks_of(parts)) for (kind,), parts in rows] == [("other", 6)]


def test_a_row_without_tasks_stands_where_nothing_is_folded() -> None:
    """What is left of an earlier fallback has no task and is folded like any small row, unless one task is enough."""
    left = [Part("field", 0)]
    assert [key for key, _ in Folding(1).rows(left, lambda part: (part.kind,))] == [("field",)]
    assert [key for key, _ in Folding(2).rows(left, lambda part: (part.kind,))] == [("other",)]
