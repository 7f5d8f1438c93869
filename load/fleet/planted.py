"""What the fleet plants: identifiers in headers of reports, in attributes, in HTTP headers, in JSON of no schema.

    scanner = Scanner(planted_values(fleet.seed, fleet.devices))
    leaks = scanner.scan(places)          # must be empty
    found = Scanner(controls()).scan(...)  # must not be, in any place that names models or regions

Every value belongs to one device and is at least 8 bytes long, so a leak names its origin. A scanner of all values of
2,000 devices takes gigabytes, since it looks for a hundred forms of each; every tenth device will do, because what
leaks one leaks all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from random import Random

from load.fleet.models import CHAT, CORE_LARGE, CORE_SEARCH, VENDOR_LARGE
from load.fleet.nouns import Device, Identifiers


def planted_values(seed: int, devices: Iterable[Device]) -> dict[str, str]:
    """Everything that must never come out of the gate, by a name that says whose it is and where it was put."""
    return {f"device {device.index}, {place}": value for device in devices for place, value in _values(seed, device)}


def controls() -> dict[str, str]:
    """Values that pass the gate and must be found by the same search, or it proves nothing: names of the manifest."""
    return {f"model {model.name}": model.name for model in (CHAT, CORE_LARGE, CORE_SEARCH, VENDOR_LARGE)} | {
        f"region {region}": region for region in ("eu-north", "ap-south")
    }


def request_headers(seed: int, device: Device) -> dict[str, str]:
    """HTTP headers by which agents, proxies and tracing libraries give a person away; the gate has no use for any."""
    random = Random(f"{seed}/request headers/{device.index}")
    person = f"Person-{device.index}-{random.randbytes(5).hex()}"
    return {
        "x-user": f"{person}@corp.example",
        "cookie": f"session={random.randbytes(12).hex()}",
        "user-agent": f"fleet-agent/{device.agent_version} (host {person.lower()}-pc)",
        "traceparent": f"00-{random.randbytes(16).hex()}-{random.randbytes(8).hex()}-01",
        "baggage": f"enduser.id={random.randbytes(8).hex()},device.tag=T{random.randbytes(6).hex()}",
    }


def names_of_no_schema(seed: int, device: Device) -> dict[str, object]:
    """What an agent adds to JSON of its own accord: a name that is a person's, and something nested."""
    random = Random(f"{seed}/names of no schema/{device.index}")
    mark = random.randbytes(6).hex()
    return {f"ownerOf{mark}": {"login": [f"login-{mark}-{device.index}"]}, "debug": f"trace of {mark}{device.index}"}


def _values(seed: int, device: Device) -> Iterator[tuple[str, str]]:
    """(where it is put, value)."""
    for field in fields(Identifiers):
        value = getattr(device.identifiers, field.name)
        if isinstance(value, str):
            yield field.name, value
    for number, (name, value) in enumerate(device.identifiers.attributes):
        # The other names are those of any agent: home, debug.
        yield from [(f"attribute {number}", value)] if len(name) < 8 else [(f"attribute name {number}", name)]
    headers = request_headers(seed, device)
    yield "X-User", headers["x-user"]
    yield "Cookie", headers["cookie"].removeprefix("session=")
    yield "User-Agent", headers["user-agent"].partition("(host ")[2].removesuffix(")")
    _, trace, span, _ = headers["traceparent"].split("-")
    yield from (("trace id", trace), ("span id", span))
    person, tag = headers["baggage"].split(",")
    yield from (("baggage, person", person.partition("=")[2]), ("baggage, device", tag.partition("=")[2]))
    (name, nested), (_, text) = names_of_no_schema(seed, device).items()
    yield from (("JSON name", name), ("JSON text", str(text).removeprefix("trace of ")))
    yield "JSON nested", nested["login"][0]  # type: ignore[index]  # as made above
