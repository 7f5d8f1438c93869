"""`tidegate serve`: one process that takes reports, answers questions, or both; `process.py` puts it together."""


class CannotAnswer(Exception):
    """The half that answers cannot start; the message says why, and what to do."""
