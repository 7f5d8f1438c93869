"""Who gets in, and how much of it: the first thing that a request meets, before its body is read.

The order, and why it is this one (docs/adr/0005-tokens.md has the figures):

1. *credential*. It costs 1 to 2 µs beside the 17 that the server itself spends on a request, so refusing a flood
   without tokens earlier would save next to nothing. Were a tier's rate charged first, anybody could use it up and lock
   the tier's own devices out; charged last, a request without a good token touches neither rate nor concurrency;
2. *tier*: the credential must be one that posts, and its tier the endpoint's;
3. *network*: the kinds of token that the tier takes from the peer's network;
4. *concurrency*, before the rate, so that a request refused here has used up nothing;
5. *rate*: one token bucket per tier, so that a flood on one tier leaves the others alone.

The peer's address goes no further than this module: it is held in memory only, in a small cache, and is in no log line,
exception, metric or return value. An address that cannot be parsed, or none (a Unix socket), counts as outside.

Not thread-safe, and needs not be: a gate admits in its event loop.
"""

import functools
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from random import Random
from types import TracebackType
from typing import Protocol, Self

from ingest.access.token_view import Credential
from ingest.access.tokens import ROLES
from ingest.clock import Clock
from ingest.problems import Reason, Rejected
from schemas.tier import AdmissionPolicy

PEERS_REMEMBERED = 1024
"""Answers kept per tier to "is this address inside?"; a fleet behind a proxy has few, and the rest is parsed anew."""

RETRY_SECONDS = 4.0
"""Mean Retry-After of a refusal that passes by itself: long enough for a commit or a restart."""
REPAIR_SECONDS = 60.0
"""Mean Retry-After of a refusal that lasts until a person has done something."""
SHORTEST_RATE_SECONDS = 2.0
"""Mean of the shortest Retry-After for a rate. The header counts whole seconds: 2 ± 50 % spreads a fleet over three."""

NEEDS_A_PERSON = frozenset({Reason.STORAGE_FULL, Reason.KEY_MISSING, Reason.TOKENS_UNREADABLE})


class Credentials(Protocol):
    """Where a token is looked up; `ingest.access.token_view.TokenView` in a gate."""

    def check(self, token: bytes | None, now_ms: int) -> Credential:
        """The credential behind a token; raises `Rejected`."""
        ...


class TokenBucket:
    """At most `burst` at once and `rate` a second on average; refilled when it is looked at. Times in seconds."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._level = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one; False, and nothing taken, when there is none."""
        self._refill(now)
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Seconds until there is one to take."""
        self._refill(now)
        return max(0.0, 1.0 - self._level) / self._rate

    def resize(self, *, rate: float, burst: int, now: float) -> None:
        """Go on under other limits with what is in it, as far as it fits."""
        self._refill(now)
        self._rate = rate
        self._burst = float(burst)

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now


class Ticket:
    """Leave to go on with one request; the end of its `with` block, or `release`, makes room for another.

    A second release changes nothing. A ticket that is never released keeps its place until the gate stops.
    """

    __slots__ = ("_lane", "credential")

    def __init__(self, lane: "_Lane", credential: Credential) -> None:
        self._lane: _Lane | None = lane
        self.credential = credential

    def release(self) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:
            lane.under_way -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class _Lane:
    """The limits of one tier and how much of them is used."""

    __slots__ = ("_everywhere", "_inside", "_is_inside", "_outside", "bucket", "concurrency", "under_way")

    def __init__(self, policy: AdmissionPolicy, now: float) -> None:
        self.under_way = 0
        self.bucket = TokenBucket(rate=policy.requests_per_second, burst=policy.burst, now=now)
        self._set(policy)

    def reconfigure(self, policy: AdmissionPolicy, now: float) -> None:
        self.bucket.resize(rate=policy.requests_per_second, burst=policy.burst, now=now)
        self._set(policy)

    def accepts(self, kind: str, peer: str | None) -> bool:
        """Whether the tier takes this kind of token from there; no address is looked at where it does not matter."""
        if kind in self._everywhere:
            return True
        return kind in (self._inside if self._is_inside(peer) else self._outside)

    def enter(self, credential: Credential, now: float) -> Ticket:
        if self.under_way >= self.concurrency:
            raise Rejected(Reason.CONCURRENCY_EXCEEDED)
        if not self.bucket.take(now):
            raise Rejected(Reason.RATE_EXCEEDED)
        self.under_way += 1
        return Ticket(self, credential)

    def _set(self, policy: AdmissionPolicy) -> None:
        self.concurrency = policy.concurrency
        self._inside = frozenset(policy.inside)
        self._outside = frozenset(policy.outside)
        self._everywhere = self._inside & self._outside
        self._is_inside = _network_rule(policy.trusted_networks)


class Admission:
    """The admission of one gate: every tier's limits, and the tokens they are asked with."""

    def __init__(
        self, policies: Mapping[str, AdmissionPolicy], credentials: Credentials, *, clock: Clock, random: Random
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._random = random
        self._lanes: dict[str, _Lane] = {}
        self.reconfigure(policies)

    def reconfigure(self, policies: Mapping[str, AdmissionPolicy]) -> None:
        """Put other limits in force; tickets that are out stay good and are counted against the new limits."""
        now = self._clock.monotonic()
        lanes: dict[str, _Lane] = {}
        for tier, policy in policies.items():
            lane = self._lanes.get(tier)
            if lane is None:
                lane = _Lane(policy, now)
            else:
                lane.reconfigure(policy, now)
            lanes[tier] = lane
        self._lanes = lanes

    def admit(self, tier: str, token: bytes | None, peer: str | None) -> Ticket:
        """A ticket for one request to the endpoint of `tier`, to be released once it is answered; raises `Rejected`."""
        lane = self._lanes.get(tier)
        if lane is None:
            raise Rejected(Reason.MISDIRECTED)
        credential = self._credentials.check(token, self._clock.now_ms())
        if credential.kind in ROLES:
            raise Rejected(Reason.TOKEN_KIND_NOT_ACCEPTED)
        if credential.tier != tier:
            raise Rejected(Reason.TOKEN_OF_ANOTHER_TIER)
        if not lane.accepts(credential.kind, peer):
            raise Rejected(Reason.TOKEN_KIND_NOT_ACCEPTED)
        return lane.enter(credential, self._clock.monotonic())

    def under_way(self, tier: str) -> int:
        """How many tickets of a tier are out; none of a tier that there is not, or no more."""
        lane = self._lanes.get(tier)
        return 0 if lane is None else lane.under_way

    def retry_after(self, tier: str, reason: Reason) -> int | None:
        """Whole seconds for Retry-After, at least 1 and spread by ±50 %; None for a refusal that takes none.

        Spread, because devices that were refused in the same second would otherwise all come back in the same second.
        """
        if reason.problem.status not in {429, 503}:
            return None
        return max(1, round(self._mean_seconds(tier, reason) * self._random.uniform(0.5, 1.5)))

    def _mean_seconds(self, tier: str, reason: Reason) -> float:
        if reason in NEEDS_A_PERSON:
            return REPAIR_SECONDS
        lane = self._lanes.get(tier)
        if reason is not Reason.RATE_EXCEEDED or lane is None:
            return RETRY_SECONDS
        # Twice the wait: even the earliest of those who come back must find something in the bucket.
        return max(SHORTEST_RATE_SECONDS, 2 * lane.bucket.wait(self._clock.monotonic()))


def _network_rule(networks: tuple[IPv4Network | IPv6Network, ...]) -> Callable[[str | None], bool]:
    """Whether a peer is inside `networks`, with a bounded memory that ends with the policy that it belongs to."""

    @functools.lru_cache(maxsize=PEERS_REMEMBERED)
    def is_inside(peer: str | None) -> bool:
        try:
            address = ip_address(peer or "")
        except ValueError:  # its text repeats the address
            return False
        # A server that listens on IPv6 sees IPv4 peers as ::ffff:10.0.0.1.
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in networks)

    return is_inside
