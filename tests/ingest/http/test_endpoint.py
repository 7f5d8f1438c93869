"""Which tier a request asks."""

import pytest

from ingest.http.endpoint import Endpoint, by_path, resolve
from ingest.problems import Reason, Rejected
from schemas.catalogue import load_catalogue

CATALOGUE = load_catalogue()
PATH = "/v1/reports/route_window"

FOUND = [
    pytest.param(b"managed.tidegate.localhost", PATH, Endpoint("managed", PATH), id="by hostname"),
    pytest.param(b"BYOD.Tidegate.LocalHost", PATH, Endpoint("byod", PATH), id="hostnames have no case"),
    pytest.param(b"byod.tidegate.localhost:8443", PATH, Endpoint("byod", PATH), id="a port says nothing"),
    pytest.param(b"127.0.0.1:80", f"/t/contractor{PATH}", Endpoint("contractor", PATH), id="by prefix"),
    pytest.param(b"byod.tidegate.localhost", f"/t/byod{PATH}", Endpoint("byod", PATH), id="both agree"),
    pytest.param(b"", f"/t/byod{PATH}", Endpoint("byod", PATH), id="no hostname"),
    pytest.param(b"", "/t/byod", Endpoint("byod", ""), id="a prefix and nothing after it"),
    pytest.param(b"[::1]:80", PATH, Endpoint(None, PATH), id="an IPv6 address names no tier"),
    pytest.param(b"example.org", "/healthz", Endpoint(None, "/healthz"), id="no tier"),
    pytest.param(b"\xff\xfe", PATH, Endpoint(None, PATH), id="a hostname that is no text"),
    pytest.param(b"byod", PATH, Endpoint(None, PATH), id="the tier's name is not its hostname"),
    pytest.param(b"", "/t", Endpoint(None, "/t"), id="not quite the prefix"),
]


@pytest.mark.parametrize(("host", "path", "expected"), FOUND)
def test_resolves(host: bytes, path: str, expected: Endpoint) -> None:
    """Hostname or prefix name the tier; where neither does there is none."""
    assert resolve(host, path, CATALOGUE) == expected


@pytest.mark.parametrize(
    ("host", "path"),
    [
        pytest.param(b"managed.tidegate.localhost", f"/t/byod{PATH}", id="they contradict each other"),
        pytest.param(b"127.0.0.1", f"/t/nobody{PATH}", id="a tier that does not exist"),
        pytest.param(b"127.0.0.1", f"/t/BYOD{PATH}", id="names of tiers have a case"),
        pytest.param(b"127.0.0.1", f"/t/{PATH}", id="an empty name"),
        pytest.param(b"managed.tidegate.localhost", f"/t/%6danaged{PATH}", id="a name in another spelling"),
    ],
)
def test_misdirected(host: bytes, path: str) -> None:
    """A prefix that names no tier, or another one than the hostname, is refused: nothing is guessed."""
    with pytest.raises(Rejected) as refusal:
        resolve(host, path, CATALOGUE)
    assert refusal.value.reason is Reason.MISDIRECTED


@pytest.mark.parametrize(
    ("path", "below"),
    [
        pytest.param(f"/t/nobody{PATH}", PATH, id="a tier that does not exist"),
        pytest.param(PATH, PATH, id="no prefix"),
        pytest.param("/t/nobody", "", id="nothing below it"),
    ],
)
def test_what_the_path_says(path: str, below: str) -> None:
    """What is asked of a tier is known even where there is no such tier."""
    assert by_path(path).path == below
