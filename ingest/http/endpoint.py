"""Which tier was asked: by hostname, or by the path prefix `/t/<tier>` where there is no DNS. Never by the body.

Where both name a tier they must name the same one; where neither does, there is no tier.
"""

from typing import NamedTuple

from ingest.problems import Reason, Rejected
from schemas.catalogue import Catalogue

PREFIX = "/t/"


class Endpoint(NamedTuple):
    """The tier that was asked, None if no tier was, and the path without its prefix."""

    tier: str | None
    path: str


def resolve(host: bytes, path: str, catalogue: Catalogue) -> Endpoint:
    """The endpoint of a request; raises `Rejected` (misdirected) where hostname and prefix contradict each other."""
    by_host = catalogue.hostnames.get(_hostname(host))
    name, below = by_path(path)
    if name is None:
        return Endpoint(by_host, below)
    if name not in catalogue.tiers or by_host not in (None, name):
        raise Rejected(Reason.MISDIRECTED)
    return Endpoint(name, below)


def by_path(path: str) -> Endpoint:
    """What the path alone says, whether there is such a tier or not."""
    if not path.startswith(PREFIX):
        return Endpoint(None, path)
    name, slash, rest = path[len(PREFIX) :].partition("/")
    return Endpoint(name, slash + rest)


def _hostname(host: bytes) -> str:
    """The name in a Host header, without the port, in lower case; an IPv6 literal never names a tier."""
    return host.decode("latin-1").partition(":")[0].lower()
