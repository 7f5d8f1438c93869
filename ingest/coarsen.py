"""What a coarsening does to one value: pure functions, number to number and name to name.

Each is idempotent, so a device may coarsen before it posts and the gate's own pass then changes nothing. Names are
handled as their UTF-8 bytes, which is how they arrive and how they leave.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

from schemas.tier import (
    CoarsenAddress,
    CoarsenAllowed,
    CoarsenBucket,
    CoarsenCeilHour,
    CoarsenFloorHour,
    CoarsenKnown,
    CoarsenVersion,
    KnownNames,
    Rule,
)

OTHER = b"other"
"""What every name becomes that a policy does not let through."""

MS_PER_HOUR = 3_600_000

NUMBER = rb"[0-9]{1,6}"
"""At most six digits: enough for any part of a version, too little for a serial number in one part."""

SUFFIX = rb"(?:[-+ ].*)?"
"""`-beta.2`, `+build` and what Windows writes after a blank: never kept."""

Names = Mapping[KnownNames, frozenset[bytes]]
"""The names of the operator's manifest, as UTF-8. A kind that is missing has none: all of its names become `other`."""

NumberCoarsening = Callable[[int], int]
NameCoarsening = Callable[[bytes, Names], bytes]


def floor_hour(ms: int) -> int:
    """The beginning of the hour in which `ms` lies, both in milliseconds."""
    return ms - ms % MS_PER_HOUR


def ceil_hour(ms: int) -> int:
    """The end of the hour in which `ms` lies; a whole hour is its own end."""
    return ms + -ms % MS_PER_HOUR


def bucket(bounds: tuple[int, ...]) -> NumberCoarsening:
    """Numbers become the greatest bound not above them, or the first bound."""

    def coarsen(number: int) -> int:
        return bounds[max(bisect_right(bounds, number) - 1, 0)]

    return coarsen


def version(parts: int) -> NameCoarsening:
    """Dotted versions keep their first `parts` numbers and lose any suffix; anything else is `other`."""
    kept = rb"(%b(?:\.%b){0,%d})" % (NUMBER, NUMBER, parts - 1)
    # Possessive: with a way back for each of its parts, a version of 1 MiB took 77 MiB of memory.
    pattern = re.compile(rb"%b(?:\.%b)*+%b" % (kept, NUMBER, SUFFIX), re.DOTALL)

    def coarsen(name: bytes, _: Names) -> bytes:
        match = pattern.fullmatch(name)
        return match[1] if match else OTHER

    return coarsen


def address(*, ipv4: int, ipv6: int) -> NameCoarsening:
    """IP addresses keep their first `ipv4` or `ipv6` bits, written as an address; anything else is `other`."""

    def coarsen(name: bytes, _: Names) -> bytes:
        try:
            parsed = ip_address(name.decode())
        except ValueError:
            return OTHER
        if isinstance(parsed, IPv4Address):
            return str(IPv4Network((int(parsed), ipv4), strict=False).network_address).encode()
        # int(parsed) leaves an IPv6 zone behind, which is free text.
        return str(IPv6Network((int(parsed), ipv6), strict=False).network_address).encode()

    return coarsen


def allowed(names: tuple[str, ...]) -> NameCoarsening:
    """Names of a closed list stay; anything else is `other`."""
    listed = frozenset(name.encode() for name in names)

    def coarsen(name: bytes, _: Names) -> bytes:
        return name if name in listed else OTHER

    return coarsen


def known(kind: KnownNames) -> NameCoarsening:
    """Names that the operator's manifest has stay; anything else is `other`."""

    def coarsen(name: bytes, names: Names) -> bytes:
        return name if name in names.get(kind, ()) else OTHER

    return coarsen


def number_coarsening(rule: Rule) -> NumberCoarsening | None:
    """What `rule` does to a number; None if it is no coarsening of numbers."""
    match rule:
        case CoarsenFloorHour():
            return floor_hour
        case CoarsenCeilHour():
            return ceil_hour
        case CoarsenBucket(bounds=bounds):
            return bucket(bounds)
    return None


def name_coarsening(rule: Rule) -> NameCoarsening | None:
    """What `rule` does to a name; None if it is no coarsening of names."""
    match rule:
        case CoarsenVersion(parts=parts):
            return version(parts)
        case CoarsenAddress(ipv4=ipv4, ipv6=ipv6):
            return address(ipv4=ipv4, ipv6=ipv6)
        case CoarsenAllowed(allowed=names):
            return allowed(names)
        case CoarsenKnown(of=kind):
            return known(kind)
    return None
