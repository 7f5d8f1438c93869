"""Provider and address to a route: the table of cases, and which of two answers is the nearer."""

import pytest

from reporter.otel.table import Table

OPERATOR = Table(
    hosts={
        "*.example.org": "private_cloud",
        "gateway.example.org": "managed_cloud",
        "*.edge.example.org": "edge",
        "10.20.0.0/16": "edge",
        "10.20.30.0/24": "private_cloud",
        "fd00:1::/32": "edge",
        "localhost:4000": "managed_cloud",
        "127.0.0.1:4000": "managed_cloud",
        "api.openai.com": "private_cloud",
    },
    providers={"vllm": "private_cloud", "anthropic": "private_cloud"},
)


@pytest.mark.parametrize(
    ("provider", "address", "port", "route"),
    [
        pytest.param("openai", None, None, "managed_cloud", id="a vendor"),
        pytest.param("openai", "api.openai.com", 443, "managed_cloud", id="a vendor's host"),
        pytest.param(None, "api.anthropic.com", None, "managed_cloud", id="a host alone"),
        pytest.param("gcp.vertex_ai", "us-central1-aiplatform.googleapis.com", 443, "managed_cloud", id="a region"),
        pytest.param("aws.bedrock", "bedrock-runtime.eu-central-1.amazonaws.com", 443, "managed_cloud", id="bedrock"),
        pytest.param("aws.bedrock", "mine.eu-central-1.elb.amazonaws.com", 443, "other", id="a rented machine"),
        pytest.param("openai", "localhost", 8080, "on_device", id="a local server that speaks a vendor's protocol"),
        pytest.param("openai", "127.0.0.1", 8080, "on_device", id="as an address"),
        pytest.param("openai", "::1", 8080, "on_device", id="as an address of version 6"),
        pytest.param("openai", "[::1]", 8080, "on_device", id="in brackets"),
        pytest.param("openai", "http://localhost:11434/v1", None, "on_device", id="as a URL"),
        pytest.param("openai", "/run/llama.sock", None, "on_device", id="a local socket"),
        pytest.param("openai", "10.1.2.80", 8000, "other", id="a vendor's protocol, an address that nobody knows"),
        pytest.param("openai", "localhost.example.net", 80, "other", id="a name that only begins like this machine"),
        pytest.param("openai", "api.openai.com.example.net", 80, "other", id="a name that only begins like a vendor"),
        pytest.param("ollama", None, None, "on_device", id="local models"),
        pytest.param("ollama", "gpu.example.net", 11434, "other", id="local models, elsewhere"),
        pytest.param(None, None, None, "other", id="nothing"),
        pytest.param("openai", "http://[", None, "other", id="no address at all"),
    ],
)
def test_what_is_known_anyway(provider: str | None, address: str | None, port: int | None, route: str) -> None:
    """Vendors and this machine need no table, and what nobody knows is other."""
    assert Table().routes.route(provider, address, port) == route


@pytest.mark.parametrize(
    ("provider", "address", "port", "route"),
    [
        pytest.param("openai", "gateway.example.org", 443, "managed_cloud", id="a host before a pattern"),
        pytest.param("openai", "GATEWAY.example.org.", 443, "managed_cloud", id="as written elsewhere"),
        pytest.param("openai", "a.edge.example.org", 443, "edge", id="the longer of two patterns"),
        pytest.param("openai", "b.example.org", 443, "private_cloud", id="the shorter of two patterns"),
        pytest.param("openai", "10.20.1.1", 443, "edge", id="a network"),
        pytest.param("openai", "10.20.30.1", 443, "private_cloud", id="the narrower network"),
        pytest.param("openai", "fd00:1::7", 443, "edge", id="a network of version 6"),
        pytest.param("openai", "10.21.0.1", 443, "other", id="outside of both"),
        pytest.param("openai", "localhost", 4000, "managed_cloud", id="a proxy on this machine"),
        pytest.param("openai", "localhost", 4001, "on_device", id="another port of this machine"),
        pytest.param("openai", "api.openai.com", 443, "private_cloud", id="the operator before what is known"),
        pytest.param("vllm", None, None, "private_cloud", id="a provider"),
        pytest.param("vllm", "gpu.example.net", 80, "private_cloud", id="a provider, an address that nobody knows"),
        pytest.param("vllm", "localhost", 80, "on_device", id="this machine before a provider"),
        pytest.param("anthropic", "api.anthropic.com", 443, "managed_cloud", id="a vendor's host before a provider"),
    ],
)
def test_what_the_operator_knows(provider: str, address: str | None, port: int | None, route: str) -> None:
    """The operator's hosts come first, then this machine and vendors, then the operator's providers."""
    assert OPERATOR.routes.route(provider, address, port) == route
