"""What a coarsening does to one value, on the device: what `ingest/coarsen.py` does at the gate, and with one result.

Each is idempotent, so the gate's own pass changes nothing more. `known` alone cannot be done here, for the names of the
operator's manifest are not published: such a name goes out as it is, unless no manifest could have it (`COULD_BE`).
`tests/contract/test_device_strip.py` holds both sides against each other.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from reporter.reports import OTHER

MS_PER_HOUR = 3_600_000

LONGEST_NAME = 64
NAME = re.compile(r"[!-+\--~]+(?: [!-+\--~]+)*")
DIGEST = re.compile(r"[a-z0-9]{2,16}:[0-9a-f]{8,128}")
"""What a manifest can have: printable ASCII with single blanks inside and no comma; the digest of a file. Whatever an
application took for a name that is none, a path or a line of a log, is not written down to be taken off later."""

NUMBER = r"[0-9]{1,6}"
SUFFIX = r"(?:[-+ ].*)?"

NUMBERS = frozenset({"int", "long"})
NAMES = frozenset({"string"})


@dataclass(frozen=True, slots=True, eq=False)
class Coarsening:
    """`apply` makes one value of another; `works_on` names the Avro types that it takes."""

    kind: str
    works_on: frozenset[str]
    apply: Callable[[Any], Any]


def floor_hour(ms: int) -> int:
    """The beginning of the hour in which `ms` lies, both in milliseconds."""
    return ms - ms % MS_PER_HOUR


def ceil_hour(ms: int) -> int:
    """The end of the hour in which `ms` lies; a whole hour is its own end."""
    return ms + -ms % MS_PER_HOUR


def bucket(bounds: tuple[int, ...]) -> Callable[[int], int]:
    """Numbers become the greatest bound not above them, or the first bound."""

    def coarsen(number: int) -> int:
        return bounds[max(bisect_right(bounds, number) - 1, 0)]

    return coarsen


def version(parts: int) -> Callable[[str], str]:
    """Dotted versions keep their first `parts` numbers and lose any suffix; anything else is `other`."""
    kept = rf"({NUMBER}(?:\.{NUMBER}){{0,{parts - 1}}})"
    pattern = re.compile(rf"{kept}(?:\.{NUMBER})*+{SUFFIX}", re.DOTALL)

    def coarsen(name: str) -> str:
        match = pattern.fullmatch(name)
        return match[1] if match else OTHER

    return coarsen


def address(*, ipv4: int, ipv6: int) -> Callable[[str], str]:
    """IP addresses keep their first `ipv4` or `ipv6` bits, written as an address; anything else is `other`."""

    def coarsen(name: str) -> str:
        import ipaddress  # noqa: PLC0415  # no shipped policy needs it, and it would be loaded on every device

        try:
            parsed = ipaddress.ip_address(name)
        except ValueError:
            return OTHER
        bits = ipv4 if parsed.version == 4 else ipv6
        # int(parsed) leaves an IPv6 zone behind, which is free text.
        network = ipaddress.IPv4Network if parsed.version == 4 else ipaddress.IPv6Network
        return str(network((int(parsed), bits), strict=False).network_address)

    return coarsen


def allowed(names: frozenset[str]) -> Callable[[str], str]:
    """Names of a closed list stay; anything else is `other`."""

    def coarsen(name: str) -> str:
        return name if name in names else OTHER

    return coarsen


def known(of: str) -> Callable[[str], str]:
    """Names stay, for only the gate can tell; but one that no manifest could have is `other` already."""
    possible = COULD_BE.get(of, _is_either)

    def coarsen(name: str) -> str:
        return name if possible(name) else OTHER

    return coarsen


def _is_name(name: str) -> bool:
    return len(name) <= LONGEST_NAME and NAME.fullmatch(name) is not None


def _is_digest(name: str) -> bool:
    return DIGEST.fullmatch(name) is not None


def _is_either(name: str) -> bool:
    return _is_name(name) or _is_digest(name)


COULD_BE: Mapping[str, Callable[[str], bool]] = {
    **dict.fromkeys(("model", "model_version", "region", "site", "mirror"), _is_name),
    "digest": _is_digest,
}
"""Whether a manifest could have such a name, by the kind of name. Of a kind of a later gate either form is possible."""


def coarsening(described: Mapping[str, Any]) -> Coarsening | None:
    """The coarsening that a policy describes; None for a kind that this agent does not know.

    Raises `ValueError`, without anything of the description, where its parameters are not what they must be.
    """
    kind = described.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    works_on, made = KINDS[kind]
    return Coarsening(kind, works_on, made(described))


def _bounds(described: Mapping[str, Any]) -> tuple[int, ...]:
    bounds = tuple(_list_of(int, described, "bounds"))
    if not bounds or any(later <= earlier for earlier, later in pairwise(bounds)):
        raise ValueError("bounds: numbers that rise are needed")
    return bounds


def _whole(described: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = described.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name}: not a whole number from {low} to {high}")
    return value


def _list_of(kind: type, described: Mapping[str, Any], name: str) -> list[Any]:
    values = described.get(name)
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        raise ValueError(f"{name}: not a list, or something in it is of another type")
    return values


KINDS: Mapping[str, tuple[frozenset[str], Callable[[Mapping[str, Any]], Callable[[Any], Any]]]] = {
    "floor_hour": (NUMBERS, lambda _: floor_hour),
    "ceil_hour": (NUMBERS, lambda _: ceil_hour),
    "bucket": (NUMBERS, lambda described: bucket(_bounds(described))),
    "version": (NAMES, lambda described: version(_whole(described, "parts", 1, 100))),
    "address": (
        NAMES,
        lambda described: address(ipv4=_whole(described, "ipv4", 0, 32), ipv6=_whole(described, "ipv6", 0, 128)),
    ),
    "allowed": (NAMES, lambda described: allowed(frozenset(_list_of(str, described, "allowed")))),
    "known": (NAMES, lambda described: known(str(described.get("of")))),
}
"""Kind -> the Avro types that it works on, and how it is made from what a policy says of it."""
