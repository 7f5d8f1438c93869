"""Who asks when: the requests of a trace dealt to the sessions of the fleet's devices, hour by hour.

Each hour takes as many requests of the trace as its time of day asks for, drawn without repetition, at their own minute
and second; what is bursty in the trace stays so. A session of a device takes a run of them, some seconds apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

from load.fleet.devices import REGIONS, UTC_OFFSET_HOURS, Profile, by_region
from load.fleet.trace import MS_PER_HOUR, Request, within_the_hour

TASKS_A_SESSION = 8
THINKING_SECONDS = 20
"""Time between the requests of one session, on average."""

LEAST_THINKING_MS = 2_000
LONGEST_PAUSE_MS = 20 * 60_000
"""A session that got no request for so long is over."""

BY_HOUR_OF_DAY = (
    0.10, 0.06, 0.05, 0.05, 0.06, 0.12, 0.30, 0.60, 1.00, 1.30, 1.40, 1.35,
    1.10, 1.25, 1.35, 1.30, 1.20, 0.95, 0.60, 0.40, 0.35, 0.30, 0.20, 0.15,
)  # fmt: skip
"""How much is asked at each hour of a region's own clock, relative to the mean of a working day. All days are alike."""


@dataclass(slots=True)
class Session:
    """A run of requests of one device, in order. Times are milliseconds since the epoch."""

    profile: Profile
    left: int
    requests: list[Request] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.requests[-1].time


def deal(
    random: Random, profiles: Sequence[Profile], trace: Sequence[Request], *, start: int, end: int, tasks: int
) -> list[Session]:
    """`tasks` requests between `start` and `end` (whole hours, in ms), as sessions in order of beginning."""
    hour_of_trace = within_the_hour(trace)
    dealer = _Dealer(random, profiles)
    for hour, number in _per_hour(start, end, tasks):
        dealer.open_hour(hour, number)
        for request in _thinned(random, hour_of_trace, number):
            dealer.give(request._replace(time=hour + request.time))
    return dealer.sessions


def demand(region: str, hour: int) -> float:
    """How much a region asks for in the hour that begins at `hour` (ms since the epoch), its size included."""
    clock = (hour // MS_PER_HOUR + UTC_OFFSET_HOURS[region]) % 24
    return REGIONS[region] * BY_HOUR_OF_DAY[clock]


def _per_hour(start: int, end: int, tasks: int) -> Iterator[tuple[int, int]]:
    """(hour, tasks in it); the tasks add up."""
    hours = range(start, end, MS_PER_HOUR)
    upto = list(accumulate(sum(demand(region, hour) for region in REGIONS) for hour in hours))
    given = 0
    for hour, share in zip(hours, upto, strict=True):
        number = round(tasks * share / upto[-1]) - given
        given += number
        yield hour, number


def _thinned(random: Random, trace: Sequence[Request], number: int) -> list[Request]:
    """So many requests in order of time: each of the trace equally often, up to one."""
    whole, rest = divmod(number, len(trace))
    return sorted([*(list(trace) * whole), *random.sample(trace, rest)])


class _Dealer:
    """Hands each request to a session that is open, or opens one."""

    def __init__(self, random: Random, profiles: Sequence[Profile]) -> None:
        self._random = random
        self._regions = {region: found for region, found in by_region(profiles).items() if found}
        self._activity = {
            region: list(accumulate(profile.activity for profile in found)) for region, found in self._regions.items()
        }
        self._open: list[Session] = []
        self._busy: set[int] = set()
        self._wanted_open = 1
        self._demand: list[float] = []
        self.sessions: list[Session] = []

    def open_hour(self, hour: int, requests: int) -> None:
        self._wanted_open = max(1, round(requests * THINKING_SECONDS / 3600))
        self._demand = [demand(region, hour) for region in self._regions]

    def give(self, request: Request) -> None:
        session = self._waiting(request.time) or self._begin()
        session.requests.append(request)
        session.left -= 1
        if session.left == 0:
            self._close(session)

    def _waiting(self, time: int) -> Session | None:
        """An open session that could ask again; None where a new one is due."""
        if len(self._open) < self._wanted_open:
            return None
        for _ in range(3):
            if self._open:
                session = self._random.choice(self._open)
                pause = time - session.last
                if LEAST_THINKING_MS <= pause <= LONGEST_PAUSE_MS:
                    return session
                if pause > LONGEST_PAUSE_MS:
                    self._close(session)
        return None

    def _begin(self) -> Session:
        session = Session(self._idle_device(), left=1 + round(self._random.expovariate(1 / (TASKS_A_SESSION - 1))))
        self._busy.add(session.profile.device.index)
        self._open.append(session)
        self.sessions.append(session)
        return session

    def _idle_device(self) -> Profile:
        """A device whose people are at work, and which has no session open if there is such."""
        random = self._random
        for _ in range(50):
            region = random.choices(tuple(self._regions), self._demand)[0]
            profile = random.choices(self._regions[region], cum_weights=self._activity[region])[0]
            if profile.device.index not in self._busy:
                return profile
        oldest = self._open[0]
        self._close(oldest)
        return oldest.profile

    def _close(self, session: Session) -> None:
        self._open.remove(session)
        self._busy.discard(session.profile.device.index)
