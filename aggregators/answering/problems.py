"""Every way in which a question is refused: one closed list, each with its HTTP status.

Rules held here, as for the gate's own list (`ingest.problems`):

* a refusal repeats nothing that was sent: `detail` is a sentence, and `offered` a list, made of names of our own;
* the status travels with the reason, so that no two places can disagree about it;
* whoever can ask again in another way is told how: the nearest right names, the combinations that are published, the
  limit that was passed.

What is wrong with a token is told by the gate's reasons. Adding a reason: add it here; the table in docs/answers.md and
`GET /v1/answers/problems` are held to this list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Problem:
    """What a reason means: its HTTP status, and a sentence for the person who asked."""

    status: int
    title: str


class Refusal(Enum):
    """The closed list. The value is the name that answers and pages use."""

    # The question names something that there is not.
    UNKNOWN_MEASURE = "unknown_measure"
    UNKNOWN_PARAMETER = "unknown_parameter"
    UNKNOWN_DIMENSION = "unknown_dimension"
    NOT_PUBLISHED_SO = "not_published_so"

    # The question cannot be read.
    REPEATED_PARAMETER = "repeated_parameter"
    BAD_TIME = "bad_time"
    BAD_RANGE = "bad_range"
    BAD_BUCKET = "bad_bucket"
    BAD_FILTER = "bad_filter"
    BAD_COMPARE = "bad_compare"
    BAD_LIMIT = "bad_limit"
    BAD_CURSOR = "bad_cursor"
    PUBLICATION_CHANGED = "publication_changed"
    NOT_ACCEPTABLE = "not_acceptable"

    # Who is asking, and how much.
    ROLE_NOT_ALLOWED = "role_not_allowed"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_SLOW = "too_slow"
    TOO_MANY_QUESTIONS = "too_many_questions"

    # Publishing.
    BAD_PUBLICATION = "bad_publication"
    NOT_APPLIED_IN_TIME = "not_applied_in_time"
    ANSWERS_ELSEWHERE = "answers_elsewhere"

    # Our own trouble.
    ROLLUPS_UNAVAILABLE = "rollups_unavailable"
    ANSWER_FAILED = "answer_failed"

    @property
    def problem(self) -> Problem:
        """The status and title that go with this reason."""
        return PROBLEMS[self]


PROBLEMS: dict[Refusal, Problem] = {
    Refusal.UNKNOWN_MEASURE: Problem(404, "There is no measure of that name."),
    Refusal.UNKNOWN_PARAMETER: Problem(400, "The query has a parameter that is neither ours nor a dimension."),
    Refusal.UNKNOWN_DIMENSION: Problem(400, "The measure has no dimension of that name."),
    Refusal.NOT_PUBLISHED_SO: Problem(400, "The measure is not published by this combination of dimensions."),
    Refusal.REPEATED_PARAMETER: Problem(400, "A parameter is given twice that can have one value only."),
    Refusal.BAD_TIME: Problem(400, "A time is neither a date nor ISO 8601, or is not of this century."),
    Refusal.BAD_RANGE: Problem(400, "The range is empty, ends before it begins, or is longer than 400 days."),
    Refusal.BAD_BUCKET: Problem(400, "The answer cannot be had in buckets of that length."),
    Refusal.BAD_FILTER: Problem(400, "A filter has an empty value, one that is too long, or too many of them."),
    Refusal.BAD_COMPARE: Problem(400, "The comparison is not one that is offered, or not in this format."),
    Refusal.BAD_LIMIT: Problem(400, "The limit is not a whole number from 1 to 10,000, or not for this format."),
    Refusal.BAD_CURSOR: Problem(400, "The cursor is not one that this question was answered with."),
    Refusal.PUBLICATION_CHANGED: Problem(409, "The answer has changed since its first page; ask again without cursor."),
    Refusal.NOT_ACCEPTABLE: Problem(406, "None of the formats that Accept names is offered."),
    Refusal.ROLE_NOT_ALLOWED: Problem(403, "The token is not of a role that may ask this."),
    Refusal.TOO_MANY_ROWS: Problem(400, "The answer has more rows than one answer may; ask a shorter range."),
    Refusal.TOO_SLOW: Problem(503, "The answer took too long and was given up; ask a shorter range or fewer columns."),
    Refusal.TOO_MANY_QUESTIONS: Problem(503, "As many questions are being answered as there may be at once."),
    Refusal.BAD_PUBLICATION: Problem(400, 'The body is not {"include_open": true}, {"include_open": false} or empty.'),
    Refusal.NOT_APPLIED_IN_TIME: Problem(503, "The log was not read up to now within a minute; nothing was published."),
    Refusal.ANSWERS_ELSEWHERE: Problem(
        404, "This process only takes reports; one without --only, or with --only answers, answers questions."
    ),
    Refusal.ROLLUPS_UNAVAILABLE: Problem(503, "The rollups cannot be read now; GET /readyz/answers says why."),
    Refusal.ANSWER_FAILED: Problem(500, "The answer failed for a fault of ours; the log says where."),
}


class Refused(Exception):
    """A question that is refused for `reason`; `detail` and `offered` hold nothing that was sent."""

    def __init__(self, reason: Refusal, *, detail: str | None = None, offered: Sequence[object] = ()) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
        self.offered = tuple(offered)


def problem_document(refused: Refused, *, retry_after: int | None = None) -> dict[str, object]:
    """The RFC 9457 problem document of a refusal; `retry_after` in whole seconds."""
    problem = refused.reason.problem
    document: dict[str, object] = {
        "type": f"/v1/answers/problems/{refused.reason.value}",
        "title": problem.title,
        "status": problem.status,
        "reason": refused.reason.value,
    }
    if refused.detail is not None:
        document["detail"] = refused.detail
    if refused.offered:
        document["offered"] = list(refused.offered)
    if retry_after is not None:
        document["retry_after"] = retry_after
    return document
