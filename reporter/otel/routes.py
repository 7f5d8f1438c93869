"""Where a request went: the route that a provider and a server's address stand for.

A provider alone says little, since half the servers of local models speak the protocol of a vendor and pass for it. So
the address decides where there is one, and an address that nobody knows is `other`, whatever the provider. In order:

1. the operator's hosts; 2. this machine, which is `on_device`; 3. hosts of vendors; 4. the operator's providers;
5. where there is no address, the providers of vendors and of local models; 6. `other`.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from reporter.reports import OTHER

ON_DEVICE = "on_device"
MOST_REMEMBERED = 256
"""Requests of one device go to a handful of addresses."""


class Host(NamedTuple):
    """Where an address leads. `name` may have `*` for anything; no `port` is any."""

    name: str
    port: int | None
    route: str

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What says most comes first: a port, a whole name, a longer one."""
        return self.port is None, "*" in self.name, -len(self.name)

    def is_it(self, host: str, port: int | None) -> bool:
        return self.port in (None, port) and fnmatchcase(host, self.name)


class Routes:
    """Route by provider and address.

    Hosts are names, in which `*` is anything, or addresses, both with or without a port, or networks (`10.1.0.0/16`).
    A port matters on this machine, where what listens may lead elsewhere. Raises ValueError for what is none of them.
    """

    def __init__(
        self,
        hosts: Mapping[str, str],
        providers: Mapping[str, str],
        known_hosts: Mapping[str, str],
        known_providers: Mapping[str, str],
    ) -> None:
        self._hosts = _hosts((name, route) for name, route in hosts.items() if "/" not in name)
        self._networks = [(ip_network(name), route) for name, route in hosts.items() if "/" in name]
        self._networks.sort(key=_narrowest)
        self._providers = dict(providers)
        self._known_hosts = _hosts(known_hosts.items())
        self._known_providers = known_providers
        self.route = lru_cache(MOST_REMEMBERED)(self._route)

    def _route(self, provider: str | None, address: str | None, port: int | None) -> str:
        host, port = host_and_port(address or "", port)
        if not host:
            return self._providers.get(provider or "") or self._known_providers.get(provider or "", OTHER)
        return self._by_host(host, port) or self._providers.get(provider or "", OTHER)

    def _by_host(self, host: str, port: int | None) -> str | None:
        said = _looked_up(host, port, self._hosts) or self._by_network(host)
        if said or is_here(host):
            return said or ON_DEVICE
        return _looked_up(host, port, self._known_hosts)

    def _by_network(self, host: str) -> str | None:
        address = _address(host)
        around = (route for network, route in self._networks if address is not None and address in network)
        return next(around, None)


def is_here(host: str) -> bool:
    """Whether a host is this machine, a local socket included."""
    if host == "localhost" or host.endswith(".localhost") or host.startswith("/"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def host_and_port(address: str, port: int | None = None) -> tuple[str, int | None]:
    """A server's address taken apart; some instrumentations write a whole URL, or both in one."""
    address = address.strip().lower()
    if address.startswith("/") or _address(address):
        return address, port
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        return (parts.hostname or "").rstrip("."), parts.port or port
    except ValueError:
        return address, port


def _hosts(routes: Iterable[tuple[str, str]]) -> tuple[Host, ...]:
    return tuple(sorted((Host(*host_and_port(name), route) for name, route in routes), key=lambda host: host.rank))


def _looked_up(host: str, port: int | None, hosts: Iterable[Host]) -> str | None:
    return next((known.route for known in hosts if known.is_it(host, port)), None)


def _narrowest(network: tuple[IPv4Network | IPv6Network, str]) -> int:
    return -network[0].prefixlen


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
