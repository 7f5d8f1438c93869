"""Whether a stricter tier keeps more than the looser one."""

from typing import Any

import pytest

from schemas.stricter import stricter_findings
from tests.made_up import made_up_schema, made_up_tier

SCHEMA = made_up_schema(
    {"name": "name", "type": ["null", "string"], "default": None},
    {"name": "number", "type": "int"},
    {"name": "box", "type": {"type": "record", "name": "Box", "fields": [{"name": "inner", "type": "int"}]}},
)

DROP: dict[str, Any] = {"action": "drop"}
KEEP: dict[str, Any] = {"action": "keep"}
PSEUDONYM: dict[str, Any] = {"action": "pseudonymise"}


def version(parts: int) -> dict[str, Any]:
    """A coarsening to some numbers of a version."""
    return {"action": "coarsen", "by": "version", "parts": parts}


def bucket(*bounds: int) -> dict[str, Any]:
    """A coarsening to some bounds."""
    return {"action": "coarsen", "by": "bucket", "bounds": bounds}


def allowed(*names: str) -> dict[str, Any]:
    """A coarsening to some names."""
    return {"action": "coarsen", "by": "allowed", "allowed": names}


def address(ipv4: int, ipv6: int) -> dict[str, Any]:
    """A coarsening to some bits."""
    return {"action": "coarsen", "by": "address", "ipv4": ipv4, "ipv6": ipv6}


CASES = [
    pytest.param("name", None, None, False, id="neither names it"),
    pytest.param("name", None, KEEP, False, id="not named is dropped"),
    pytest.param("name", DROP, None, False, id="dropped and not named are the same"),
    pytest.param("name", PSEUDONYM, None, True, id="a pseudonym of what the looser one drops"),
    pytest.param("name", PSEUDONYM, PSEUDONYM, False, id="the same pseudonym"),
    pytest.param("name", version(1), PSEUDONYM, True, id="a name is more than a pseudonym"),
    pytest.param("name", PSEUDONYM, version(1), False, id="a pseudonym is less than a name"),
    pytest.param("number", KEEP, bucket(0, 10), True, id="kept where the looser one coarsens"),
    pytest.param("number", bucket(0, 10), KEEP, False, id="coarsened where the looser one keeps"),
    pytest.param("name", version(2), version(2), False, id="as many numbers of a version"),
    pytest.param("name", version(3), version(2), True, id="more numbers of a version"),
    pytest.param("name", version(1), version(2), False, id="fewer numbers of a version"),
    pytest.param("name", allowed("a"), allowed("a", "b"), False, id="fewer names"),
    pytest.param("name", allowed("a", "c"), allowed("a", "b"), True, id="a name that the looser one lacks"),
    pytest.param("name", address(24, 48), address(24, 48), False, id="as many bits"),
    pytest.param("name", address(24, 32), address(16, 48), True, id="more bits of IPv4"),
    pytest.param("name", address(16, 48), address(16, 32), True, id="more bits of IPv6"),
    pytest.param("number", bucket(0, 10), bucket(0, 5, 10), False, id="coarser buckets"),
    pytest.param("number", bucket(0, 7), bucket(0, 5, 10), True, id="buckets across the looser ones"),
    pytest.param("number", KEEP, KEEP | {"consent": "location"}, True, id="kept without the consent it needs there"),
    pytest.param(
        "number", KEEP | {"consent": "diagnostics"}, KEEP | {"consent": "location"}, True, id="under another consent"
    ),
    pytest.param("number", KEEP | {"consent": "location"}, KEEP, False, id="under a consent that is not needed there"),
    pytest.param(
        "number", bucket(0, 9), KEEP | {"consent": "location"}, True, id="coarser, but from those who did not consent"
    ),
    pytest.param("number", DROP, KEEP | {"consent": "location"}, False, id="dropped needs no consent"),
]


@pytest.mark.parametrize(("path", "mine", "theirs", "more"), CASES)
def test_keeps_more(path: str, mine: dict[str, Any] | None, theirs: dict[str, Any] | None, more: bool) -> None:
    """A finding names the field of which the stricter tier lets more through, in whatever way."""
    stricter = made_up_tier(*([mine | {"fields": [path]}] if mine else []))
    looser = made_up_tier(*([theirs | {"fields": [path]}] if theirs else []), tier="looser")
    found = list(stricter_findings(SCHEMA, stricter, looser, file="made-up.toml"))
    assert [path in finding.problem for finding in found] == ([True] if more else [])


@pytest.mark.parametrize(("path", "mine", "theirs", "more"), [case for case in CASES if case.values[3]])
def test_a_reason_lets_it_pass(path: str, mine: dict[str, Any], theirs: dict[str, Any] | None, more: bool) -> None:
    """A rule that says why this tier may keep more is not found."""
    assert more
    stricter = made_up_tier(mine | {"fields": [path], "although": "A test wants it."})
    looser = made_up_tier(*([theirs | {"fields": [path]}] if theirs else []), tier="looser")
    assert list(stricter_findings(SCHEMA, stricter, looser, file="made-up.toml")) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "more"),
    [("box", "box.inner", False), ("box.inner", "box", False), ("box", "number", True), ("box.inner", "number", True)],
)
def test_containers_are_compared_by_what_is_in_them(mine: str, theirs: str, more: bool) -> None:
    """A container kept whole and the same fields kept one by one let the same through."""
    stricter = made_up_tier(KEEP | {"fields": [mine]})
    looser = made_up_tier(KEEP | {"fields": [theirs]}, tier="looser")
    found = list(stricter_findings(SCHEMA, stricter, looser, file="made-up.toml"))
    assert bool(found) is more
    assert all("box.inner" in finding.problem for finding in found)


def test_a_report_that_only_the_stricter_tier_takes() -> None:
    """A stricter tier takes no report that the looser one does not."""
    stricter, looser = made_up_tier(), made_up_tier(tier="looser", reports=["another"])
    [finding] = stricter_findings(SCHEMA, stricter, looser, file="made-up.toml")
    assert "made_up: allowed here, and not in the looser tier looser" in finding.problem
    assert list(stricter_findings(SCHEMA, looser, stricter, file="made-up.toml")) == []
