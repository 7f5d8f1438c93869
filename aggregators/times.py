"""Times as DuckDB keeps them here: UTC, and not saying so."""

from datetime import datetime, timedelta

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive, as every time here


def naive_utc(at_ms: int) -> datetime:
    """Milliseconds since the epoch as a naive time, UTC."""
    return EPOCH + timedelta(milliseconds=at_ms)
