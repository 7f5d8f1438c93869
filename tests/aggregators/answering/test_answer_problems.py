"""The refusals of questions: every reason means something, and the page has them as they are."""

import importlib
import re

import pytest

from aggregators.answering.problems import PROBLEMS, Refusal, Refused, problem_document
from tests.documents import bare, page


def test_every_reason_has_a_problem() -> None:
    """The list of problems is the list of reasons, in its order."""
    assert list(PROBLEMS) == list(Refusal)


@pytest.mark.parametrize("reason", Refusal)
def test_problem_document(reason: Refusal) -> None:
    """A problem document has what RFC 9457 names, an error's status, and a title that is a sentence."""
    document = problem_document(Refused(reason, detail="so", offered=["a"]), retry_after=3)
    assert list(document) == ["type", "title", "status", "reason", "detail", "offered", "retry_after"]
    assert document["type"] == f"/v1/answers/problems/{reason.value}"
    assert 400 <= reason.problem.status < 600
    assert reason.problem.title.endswith(".")


def test_the_page_has_every_reason() -> None:
    """docs/answers.md lists exactly the reasons, each with its status and title."""
    rows = page("docs/answers.md").table("reason", "status", "what it means")
    assert [(bare(row["reason"]), int(row["status"]), row["what it means"].replace("`", "")) for row in rows] == [
        (reason.value, problem.status, problem.title) for reason, problem in PROBLEMS.items()
    ]


@pytest.mark.parametrize(
    "row", page("docs/answers.md").table("what", "figure", "where it is set"), ids=lambda row: row["what"]
)
def test_figure_is_the_constant(row: dict[str, str]) -> None:
    """Every figure of the page's table of limits is the constant that stands beside it."""
    place = re.fullmatch(r"`(?P<file>[\w/]+)\.py` `(?P<name>[A-Z_]+)`", row["where it is set"])
    assert place is not None
    module = importlib.import_module(place["file"].replace("/", "."))
    assert float(row["figure"].partition(" ")[0].replace(",", "")) == getattr(module, place["name"])
