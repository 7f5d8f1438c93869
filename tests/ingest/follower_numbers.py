"""Numbers of a follower that nobody runs, for the tests of metrics."""

from ingest.telemetry.sources import AnswersSources


def answers_sources(*, age: float | None = 12.5) -> AnswersSources:
    """Sources of the follower with a number of its own in each place."""
    return AnswersSources(
        lag=lambda: 11,
        reports=lambda: {"applied": 5, "duplicate": 2, "parked": 1},
        states=lambda: {"following": 1, "stopped": 0},
        whys=lambda: {"no_space": 1, "fault": 0},
        publication_age=lambda: age,
    )
