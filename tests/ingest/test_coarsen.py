"""What a coarsening makes of one value."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ingest.coarsen import (
    MS_PER_HOUR,
    OTHER,
    NameCoarsening,
    address,
    allowed,
    bucket,
    ceil_hour,
    floor_hour,
    known,
    name_coarsening,
    number_coarsening,
    version,
)
from schemas.tier import Rule
from tests.strategies import MANIFEST, NAMES

RULES: TypeAdapter[Rule] = TypeAdapter(Rule)


@pytest.mark.parametrize(
    ("ms", "start", "end"),
    [
        pytest.param(0, 0, 0, id="a whole hour is its own beginning and end"),
        pytest.param(1, 0, MS_PER_HOUR, id="the first millisecond"),
        pytest.param(MS_PER_HOUR - 1, 0, MS_PER_HOUR, id="the last millisecond"),
        pytest.param(-1, -MS_PER_HOUR, 0, id="before 1970"),
    ],
)
def test_hours(ms: int, start: int, end: int) -> None:
    """A time becomes the beginning, or the end, of its hour."""
    assert (floor_hour(ms), ceil_hour(ms)) == (start, end)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(-5, 0), (0, 0), (9, 0), (10, 10), (99, 10), (100, 100), (2**62, 100)],
)
def test_buckets(number: int, expected: int) -> None:
    """A number becomes the greatest bound not above it, or the first bound."""
    assert bucket((0, 10, 100))(number) == expected


VERSIONS = [
    pytest.param("1.2.3", "1.2", id="the third number goes"),
    pytest.param("1.2", "1.2", id="as many as there may be"),
    pytest.param("1", "1", id="fewer than there may be"),
    pytest.param("10.15.7-beta.2", "10.15", id="a suffix goes"),
    pytest.param("1.2+anna.mueller", "1.2", id="a build name goes"),
    pytest.param("10.0 (Build 19045)", "10.0", id="what Windows writes after a blank goes"),
    pytest.param("1.2-\nx", "1.2", id="a suffix of two lines goes"),
    pytest.param("123456.123456", "123456.123456", id="six digits are a number"),
    pytest.param("1234567", "other", id="seven digits may be a serial number"),
    pytest.param("1.2.1234567", "other", id="also where the number would go"),
    pytest.param("v1.2", "other", id="a letter in front"),
    pytest.param("1.2x", "other", id="a letter behind"),
    pytest.param("1..2", "other", id="a number is missing"),
    pytest.param("1.2.", "other", id="a dot is left over"),
    pytest.param(".1", "other", id="a dot in front"),
    pytest.param("", "other", id="nothing"),
    pytest.param(" 1.2", "other", id="a blank in front"),
    pytest.param("1.2\n", "other", id="an end of line"),
    pytest.param("\u0661.\u0662", "other", id="digits of another script"),
]


@pytest.mark.parametrize(("text", "expected"), VERSIONS)
def test_versions(text: str, expected: str) -> None:
    """A dotted version keeps its first numbers and nothing else; what is no version becomes other."""
    assert version(2)(text.encode(), {}) == expected.encode()


ADDRESSES = [
    pytest.param("192.0.2.199", "192.0.2.0", id="IPv4"),
    pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1::", id="IPv6"),
    pytest.param("fe80::1%eth0", "fe80::", id="the zone, which is free text, goes"),
    pytest.param("::ffff:192.0.2.199", "::", id="an IPv4 address inside IPv6 is cut as IPv6"),
    pytest.param("192.0.2.0", "192.0.2.0", id="already coarse"),
    pytest.param("192.0.2.199/24", "other", id="a network is no address"),
    pytest.param("192.0.2.1x", "other", id="not quite an address"),
    pytest.param("host.example.org", "other", id="a name"),
    pytest.param("", "other", id="nothing"),
]


@pytest.mark.parametrize(("text", "expected"), ADDRESSES)
def test_addresses(text: str, expected: str) -> None:
    """An address keeps its first bits; what is no address becomes other."""
    assert address(ipv4=24, ipv6=48)(text.encode(), {}) == expected.encode()


@given(st.ip_addresses())
def test_an_address_keeps_no_more_than_its_bits(given_address: object) -> None:
    """All bits after the first 24 or 48 are zero, and the first are as they were."""
    parsed = ip_address(str(given_address))
    keep = 24 if parsed.version == 4 else 48
    rest = parsed.max_prefixlen - keep
    coarse = ip_address(address(ipv4=24, ipv6=48)(str(parsed).encode(), {}).decode())
    assert (int(coarse) & (1 << rest) - 1, int(coarse) >> rest) == (0, int(parsed) >> rest)


def test_lists_and_the_manifest() -> None:
    """A listed name stays, any other becomes other, and a kind of name that the manifest lacks has none."""
    assert [allowed(("a", "é"))(name.encode(), {}) for name in ("a", "é", "A", "a ")] == [
        b"a",
        "é".encode(),
        OTHER,
        OTHER,
    ]
    assert known("region")(b"eu-west", MANIFEST) == b"eu-west"
    assert known("model")(b"eu-west", MANIFEST) == OTHER
    assert known("region")(b"eu-west", {}) == OTHER


COARSENINGS: dict[str, NameCoarsening] = {
    "version 1": version(1),
    "version 3": version(3),
    "address": address(ipv4=24, ipv6=48),
    "address 0": address(ipv4=0, ipv6=0),
    "allowed": allowed(("windows", "1.2.3")),
    "known": known("model_version"),
}
SOME_NAMES = (
    st.sampled_from(NAMES)
    | st.from_regex(r"\A[0-9]{1,7}(\.[0-9]{1,7}){0,4}([-+ ].{0,3})?\Z")
    | st.ip_addresses().map(str)
    | st.text(st.characters(exclude_categories=["Cs"]))
)


@pytest.mark.parametrize("coarsen", COARSENINGS.values(), ids=COARSENINGS)
@given(name=SOME_NAMES)
def test_names_are_coarsened_once(coarsen: NameCoarsening, name: str) -> None:
    """A device may coarsen before it posts: the gate's own pass then changes nothing."""
    once = coarsen(name.encode(), MANIFEST)
    assert coarsen(once, MANIFEST) == once


@pytest.mark.parametrize("coarsen", [floor_hour, ceil_hour, bucket((0, 10, 100)), bucket((5,))])
@given(number=st.integers(-(2**62), 2**62))
def test_numbers_are_coarsened_once(coarsen: Callable[[int], int], number: int) -> None:
    """As for names."""
    assert coarsen(coarsen(number)) == coarsen(number)


SPELLINGS = [
    pytest.param({"by": "floor_hour"}, 1, 0, id="floor_hour"),
    pytest.param({"by": "ceil_hour"}, 1, MS_PER_HOUR, id="ceil_hour"),
    pytest.param({"by": "bucket", "bounds": [0, 7]}, 9, 7, id="bucket"),
    pytest.param({"by": "version", "parts": 1}, b"4.5", b"4", id="version"),
    pytest.param({"by": "address", "ipv4": 8, "ipv6": 8}, b"10.1.2.3", b"10.0.0.0", id="address"),
    pytest.param({"by": "allowed", "allowed": ["x"]}, b"y", OTHER, id="allowed"),
    pytest.param({"by": "known", "of": "region"}, b"eu-west", b"eu-west", id="known"),
]


@pytest.mark.parametrize(("spelling", "value", "expected"), SPELLINGS)
def test_a_rule_is_what_its_file_says(spelling: dict[str, object], value: int | bytes, expected: int | bytes) -> None:
    """Each way to coarsen that a policy file can name is a function of numbers or one of names, never both."""
    rule = RULES.validate_python({"fields": ["f"], "why": "A test.", "action": "coarsen", **spelling})
    number, name = number_coarsening(rule), name_coarsening(rule)
    if isinstance(value, int):
        assert number is not None
        assert (number(value), name) == (expected, None)
    else:
        assert name is not None
        assert (name(value, MANIFEST), number) == (expected, None)


@pytest.mark.parametrize("action", ["keep", "drop", "pseudonymise"])
def test_other_actions_coarsen_nothing(action: str) -> None:
    """A rule that does not coarsen is no coarsening of numbers and none of names."""
    rule = RULES.validate_python({"fields": ["f"], "why": "A test.", "action": action})
    assert (number_coarsening(rule), name_coarsening(rule)) == (None, None)
