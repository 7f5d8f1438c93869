"""A clock that is moved by hand; the device, its library and the gate all go by the same one."""


class MovedClock:
    """As `reporter.clock.Clock` and `ingest.clock.Clock`; times of day in milliseconds since the epoch, UTC."""

    def __init__(self, at_ms: int) -> None:
        self._start_ms = self._at_ms = at_ms

    def now_ms(self) -> int:
        return self._at_ms

    def monotonic(self) -> float:
        return (self._at_ms - self._start_ms) / 1000

    def to(self, at_ms: int) -> None:
        """Go on to a time; not back."""
        self._at_ms = max(self._at_ms, at_ms)

    def pass_seconds(self, seconds: float) -> None:
        """Go on by so much, and by a millisecond at least."""
        self._at_ms += max(round(seconds * 1000), 1)

    def begin_again(self, at_ms: int) -> None:
        """Another device, whose time begins there."""
        self._start_ms = self._at_ms = at_ms
