"""Admission: who gets in from where, how much of it, and that one tier's trouble stays its own."""

from ipaddress import ip_network
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.access.admission import Admission, TokenBucket, _network_rule
from ingest.access.token_view import Credential
from ingest.access.tokens import KINDS
from ingest.clock import ManualClock
from ingest.problems import Reason, Rejected
from schemas.tier import AdmissionPolicy

INSIDE, OUTSIDE = "10.1.2.3", "203.0.113.7"
SEED = 20261121

POLICY: dict[str, Any] = {
    "requests_per_second": 10.0,
    "burst": 5,
    "concurrency": 3,
    "trusted_networks": (ip_network("10.0.0.0/8"), ip_network("fc00::/7")),
    "inside": ("device", "class"),
    "outside": ("device",),
}


class KnownTokens:
    """Credentials by token, as `<tier>/<kind>`; any other token is wrong."""

    def check(self, token: bytes | None, now_ms: int) -> Credential:
        assert now_ms > 0
        if not token:
            raise Rejected(Reason.NO_TOKEN)
        tier, _, named = token.decode().partition("/")
        for kind in KINDS:
            if kind == named:
                return Credential(id="k4x2m7q5wz3a", tier=tier, kind=kind)
        raise Rejected(Reason.WRONG_TOKEN)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock(1_795_000_000_000)


@pytest.fixture
def admission(clock: ManualClock) -> Admission:
    """Two tiers with the same limits."""
    return admission_of(clock, managed={}, byod={})


def admission_of(clock: ManualClock, **tiers: dict[str, Any]) -> Admission:
    """An admission whose tiers differ from POLICY as said."""
    return Admission(policies(**tiers), KnownTokens(), clock=clock, random=Random(SEED))


def policies(**tiers: dict[str, Any]) -> dict[str, AdmissionPolicy]:
    """Tiers that differ from POLICY as said."""
    return {tier: AdmissionPolicy(**(POLICY | changes)) for tier, changes in tiers.items()}


def ask(admission: Admission, token: bytes | None = b"managed/device", peer: str | None = INSIDE) -> str:
    """Ask for entry to managed and leave again: "admitted", or the reason of the refusal."""
    try:
        with admission.admit("managed", token, peer):
            return "admitted"
    except Rejected as refusal:
        return refusal.reason.value


@pytest.mark.parametrize(
    ("token", "peer", "answer"),
    [
        pytest.param(b"managed/device", INSIDE, "admitted", id="a device inside"),
        pytest.param(b"managed/class", INSIDE, "admitted", id="a class token inside"),
        pytest.param(b"managed/device", OUTSIDE, "admitted", id="a device outside"),
        pytest.param(b"managed/class", OUTSIDE, "token_kind_not_accepted", id="a class token outside"),
        pytest.param(b"managed/class", "fc00::17", "admitted", id="inside by IPv6"),
        pytest.param(b"managed/class", "2001:db8::1", "token_kind_not_accepted", id="outside by IPv6"),
        pytest.param(b"managed/class", "::ffff:10.1.2.3", "admitted", id="IPv4 as an IPv6 listener sees it"),
        pytest.param(b"managed/class", None, "token_kind_not_accepted", id="no peer, as on a Unix socket, is outside"),
        pytest.param(b"managed/class", "", "token_kind_not_accepted", id="an empty peer is outside"),
        pytest.param(b"managed/class", "10.1.2.3:443", "token_kind_not_accepted", id="unparsable is outside"),
        pytest.param(b"managed/class", "10.0.0.0/8", "token_kind_not_accepted", id="a network is no address"),
        pytest.param(b"byod/device", INSIDE, "token_of_another_tier", id="another tier's token"),
        pytest.param(b"byod/class", OUTSIDE, "token_of_another_tier", id="the tier is told before the network"),
        pytest.param(b"*/analyst", INSIDE, "token_kind_not_accepted", id="a token that reads does not post"),
        pytest.param(b"*/operator", INSIDE, "token_kind_not_accepted", id="nor does an operator's"),
        pytest.param(b"managed/auditor", INSIDE, "token_kind_not_accepted", id="not even with the tier's name on it"),
        pytest.param(b"managed/x", INSIDE, "wrong_token", id="a wrong token"),
        pytest.param(None, INSIDE, "no_token", id="no token"),
    ],
)
def test_who_gets_in_from_where(admission: Admission, token: bytes | None, peer: str | None, answer: str) -> None:
    """A token gets in where its tier is the endpoint's and its kind is taken from the peer's network."""
    assert ask(admission, token, peer) == answer


def test_a_kind_that_is_taken_from_outside_only(clock: ManualClock) -> None:
    """Inside and outside are two lists: a kind in the outside one alone is refused from inside."""
    admission = admission_of(clock, managed={"inside": ("class",), "outside": ("device",)})
    assert ask(admission, b"managed/device", INSIDE) == "token_kind_not_accepted"
    assert ask(admission, b"managed/device", OUTSIDE) == "admitted"


def test_an_unknown_tier_is_misdirected(admission: Admission) -> None:
    """A tier without limits, such as one that a reload took away, admits nobody."""
    with pytest.raises(Rejected, match="misdirected"):
        admission.admit("contractor", b"contractor/device", INSIDE)


def test_the_ticket_names_the_credential(admission: Admission) -> None:
    """A ticket carries who was admitted."""
    with admission.admit("managed", b"managed/device", INSIDE) as ticket:
        assert ticket.credential == Credential(id="k4x2m7q5wz3a", tier="managed", kind="device")


def test_concurrency_is_limited_and_released(admission: Admission) -> None:
    """As many tickets as the tier may are out at once, and each one that comes back makes room for one."""
    tickets = [admission.admit("managed", b"managed/device", INSIDE) for _ in range(3)]
    assert ask(admission) == "concurrency_exceeded"
    tickets[0].release()
    tickets[0].release()
    assert admission.under_way("managed") == 2
    assert ask(admission) == "admitted"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, Rejected])
def test_concurrency_is_released_on_exceptions(admission: Admission, error: type[BaseException]) -> None:
    """However the work under a ticket ends, its place is free again."""

    def work() -> None:
        with admission.admit("managed", b"managed/device", INSIDE):
            assert admission.under_way("managed") == 1
            raise error(Reason.TRUNCATED)

    with pytest.raises(error):
        work()
    assert admission.under_way("managed") == 0


def test_a_refusal_for_concurrency_uses_up_no_rate(admission: Admission) -> None:
    """Requests refused for concurrency leave the bucket as it was."""
    tickets = [admission.admit("managed", b"managed/device", INSIDE) for _ in range(3)]
    assert {ask(admission) for _ in range(50)} == {"concurrency_exceeded"}
    for ticket in tickets:
        ticket.release()
    assert [ask(admission) for _ in range(3)] == ["admitted", "admitted", "rate_exceeded"]


def test_the_rate_refills(admission: Admission, clock: ManualClock) -> None:
    """After the burst one request gets in for each tenth of a second at ten a second."""
    assert [ask(admission) for _ in range(6)] == ["admitted"] * 5 + ["rate_exceeded"]
    clock.advance(0.11)
    assert [ask(admission) for _ in range(2)] == ["admitted", "rate_exceeded"]


@pytest.mark.parametrize(
    ("token", "peer"),
    [
        pytest.param(None, OUTSIDE, id="no token"),
        pytest.param(b"managed/x", OUTSIDE, id="wrong tokens"),
        pytest.param(b"byod/device", OUTSIDE, id="tokens of another tier"),
        pytest.param(b"managed/class", OUTSIDE, id="a kind that is not taken from there"),
    ],
)
def test_a_flood_of_the_refused_starves_nobody(admission: Admission, token: bytes | None, peer: str) -> None:
    """Requests that were refused for who they are use up neither rate nor concurrency of the tier's own devices."""
    assert "admitted" not in {ask(admission, token, peer) for _ in range(1000)}
    assert [ask(admission) for _ in range(5)] == ["admitted"] * 5


def test_a_flood_on_one_tier_leaves_the_other_alone(admission: Admission) -> None:
    """A tier whose rate and concurrency are used up takes nothing from another one."""
    for _ in range(1000):
        ask(admission)
    held = [admission.admit("byod", b"byod/device", INSIDE) for _ in range(3)]
    assert ask(admission) == "rate_exceeded"
    assert [ticket.credential.tier for ticket in held] == ["byod"] * 3


@given(
    rate=st.floats(0.01, 10_000),
    burst=st.integers(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 30)), min_size=1, max_size=30),
)
def test_the_bucket_never_gives_more_than_it_may(rate: float, burst: int, steps: list[tuple[float, int]]) -> None:
    """Over any span of t seconds at most burst + rate * t are taken, however the asking is spread."""
    now, bucket = 0.0, TokenBucket(rate=rate, burst=burst, now=0.0)
    taken: list[tuple[float, int]] = []
    for pause, asks in steps:
        now += pause
        taken.append((now, sum(bucket.take(now) for _ in range(asks))))
    for first, (start, _) in enumerate(taken):
        count = 0
        for end, number in taken[first:]:
            count += number
            assert count <= burst + rate * (end - start) + 1e-6 * (1 + rate * now)


@given(rate=st.floats(0.01, 10_000), burst=st.integers(1, 100), pause=st.floats(0, 100))
def test_the_bucket_gives_again_after_the_wait(rate: float, burst: int, pause: float) -> None:
    """Whoever waits as long as the bucket says gets one, and while there is one nobody need wait."""
    bucket = TokenBucket(rate=rate, burst=burst, now=0.0)
    while bucket.take(pause):
        assert bucket.wait(pause) <= 1 / rate
    wait = bucket.wait(pause)
    assert wait > 0
    assert bucket.take(pause + wait * (1 + 1e-9) + 1e-9)


def test_retry_after_is_spread(admission: Admission) -> None:
    """Retry-After for concurrency is spread by half of its mean both ways."""
    seconds = {admission.retry_after("managed", Reason.CONCURRENCY_EXCEEDED) for _ in range(500)}
    assert seconds == {2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("rate", "least", "most"),
    [
        pytest.param(500.0, 1, 3, id="a fast bucket still spreads a fleet over seconds"),
        pytest.param(0.05, 20, 60, id="a slow one sends nobody back before there is something"),
    ],
)
def test_retry_after_of_a_rate_follows_the_bucket(clock: ManualClock, rate: float, least: int, most: int) -> None:
    """Retry-After for a rate is at least what the bucket needs, and at least a second."""
    admission = admission_of(clock, managed={"requests_per_second": rate, "burst": 1})
    assert [ask(admission), ask(admission)] == ["admitted", "rate_exceeded"]
    seconds = {admission.retry_after("managed", Reason.RATE_EXCEEDED) for _ in range(1000)}
    assert (min(filter(None, seconds)), max(filter(None, seconds))) == (least, most)


def test_only_429_and_503_carry_retry_after(admission: Admission) -> None:
    """Every reason with status 429 or 503 has a Retry-After of at least a second, and no other has one."""
    for reason in Reason:
        seconds = admission.retry_after("managed", reason)
        assert (seconds is not None and seconds >= 1) == (reason.problem.status in {429, 503}), reason


def test_a_reload_keeps_tickets_and_counts_them(admission: Admission) -> None:
    """Tickets given before a reload stay good, count against the new limits, and are released into them."""
    tickets = [admission.admit("managed", b"managed/device", INSIDE) for _ in range(2)]
    admission.reconfigure(policies(managed={"concurrency": 2}))
    assert ask(admission) == "concurrency_exceeded"
    for ticket in tickets:
        ticket.release()
    assert admission.under_way("managed") == 0
    assert ask(admission) == "admitted"


def test_a_reload_may_take_a_tier_away(admission: Admission) -> None:
    """A ticket of a tier that a reload took away is released without harm, and nobody else gets in there."""
    ticket = admission.admit("byod", b"byod/device", INSIDE)
    admission.reconfigure(policies(managed={}))
    with pytest.raises(Rejected, match="misdirected"):
        admission.admit("byod", b"byod/device", INSIDE)
    ticket.release()


def test_a_reload_does_not_fill_the_bucket(admission: Admission) -> None:
    """Reloading again and again is no way past the rate, and a smaller burst holds at once."""
    assert [ask(admission) for _ in range(5)] == ["admitted"] * 5
    admission.reconfigure(policies(managed={"burst": 100}))
    assert ask(admission) == "rate_exceeded"
    admission.reconfigure(policies(managed={"burst": 100}, byod={}))
    assert ask(admission) == "rate_exceeded"


def test_a_reload_with_a_smaller_burst_holds_at_once(admission: Admission) -> None:
    """A full bucket is cut to the new burst."""
    admission.reconfigure(policies(managed={"burst": 2}))
    assert [ask(admission) for _ in range(3)] == ["admitted", "admitted", "rate_exceeded"]


def test_a_reload_changes_the_networks(admission: Admission) -> None:
    """An address that was remembered as inside is looked at anew under the new networks."""
    assert ask(admission, b"managed/class", INSIDE) == "admitted"
    admission.reconfigure(policies(managed={"trusted_networks": ()}))
    assert ask(admission, b"managed/class", INSIDE) == "token_kind_not_accepted"


def test_the_peer_is_remembered_within_bounds() -> None:
    """The memory of addresses holds no more than its bound."""
    rule: Any = _network_rule((ip_network("10.0.0.0/8"),))
    for number in range(5000):
        rule(f"10.0.{number // 250}.{number % 250}")
    assert rule.cache_info().currsize == rule.cache_info().maxsize == 1024


@pytest.mark.parametrize("peer", [OUTSIDE, "198.51.100.9:secret"])
def test_the_peer_is_told_to_nobody(admission: Admission, peer: str, caplog: pytest.LogCaptureFixture) -> None:
    """The peer's address, parsable or not, is in no exception, no repr and no log line."""
    with caplog.at_level("DEBUG"), pytest.raises(Rejected) as refusal:
        admission.admit("managed", b"managed/class", peer)
    with admission.admit("managed", b"managed/device", peer) as ticket:
        told = [repr(ticket), repr(ticket.credential), repr(admission), repr(admission._lanes)]
    error: BaseException | None = refusal.value
    while error is not None:
        told += [repr(error), str(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert "token_kind_not_accepted" in "".join(told)  # the search finds what is there
    assert peer not in "".join([*told, caplog.text])
