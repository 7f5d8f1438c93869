"""The compose file: what Compose itself would refuse, and what it would not and we do."""

import ipaddress
import json
import re
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.catalogue import TIERS_DIRECTORY, load_catalogue
from tests.deploy.compose_file import COMPOSE_FILE, DEPLOY, bind_sources, load, services, settings, start_order
from tests.deploy.programs import go
from tests.documents import ROOT
from tests.test_docs import simple_commands, wrong_with
from tidegate.cli import main
from tidegate.settings import Settings, load_settings, variable

COMPOSE = "github.com/compose-spec/compose-go/v2@v2.16.2"
"""The module that Compose itself is made of; it has the JSON schema of the specification."""

OURS = ("topics", "gate", "answers")
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+\.\d+[\w.-]*$")
SERVICES = sorted(services())


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The compose file, with its variables at their defaults."""
    return load()


@pytest.fixture(scope="module")
def specification() -> jsonschema.Draft202012Validator:
    """The published schema; Go's tool keeps it, and checks that it is what everybody gets."""
    done = subprocess.run([go(), "mod", "download", "-json", COMPOSE], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert "Error" not in found, found
    schema = Path(found["Dir"], "schema", "compose-spec.json")
    return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def test_file_is_what_the_specification_allows(
    whole: dict[str, Any], specification: jsonschema.Draft202012Validator
) -> None:
    """The published JSON schema of the Compose specification accepts the file."""
    errors = specification.iter_errors(whole)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_specification_refuses_what_it_does_not_know(
    whole: dict[str, Any], specification: jsonschema.Draft202012Validator
) -> None:
    """A misspelt key of a service is an error under that schema."""
    whole = {**whole, "services": {**whole["services"], "gate": {"image": "a:1", "comand": ["serve"]}}}
    assert list(specification.iter_errors(whole)) != []


def test_services_are_those_that_an_operator_takes() -> None:
    """Proxy, gate, Kafka with its topics, answers, Prometheus and Grafana are there, and nothing else."""
    assert SERVICES == ["answers", "gate", "grafana", "kafka", "prometheus", "proxy", "topics"]


@pytest.mark.parametrize("name", SERVICES)
def test_everything_that_a_service_names_is_there(whole: dict[str, Any], name: str) -> None:
    """Networks, volumes and secrets are declared, services waited for exist, mounted files are in the repository."""
    service = whole["services"][name]
    assert set(service["networks"]) <= set(whole["networks"])
    assert set(service.get("depends_on", {})) <= set(whole["services"])
    named = [secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])]
    assert set(named) <= set(whole["secrets"])
    volumes = {mount.split(":")[0] for mount in service.get("volumes", [])}
    assert {volume for volume in volumes if not volume.startswith(".")} <= set(whole["volumes"])
    assert [str(source) for source in bind_sources(service).values() if not source.exists()] == []


def test_nothing_is_declared_in_vain(whole: dict[str, Any]) -> None:
    """Every network, volume and secret is used by a service."""
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    for kind in ("networks", "volumes", "secrets"):
        body = text[: text.index(f"\n{kind}:\n")]
        assert [name for name in whole[kind] if not re.search(rf"\b{name}\b", body)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """Every image has a version of three numbers, so that nobody gets another one tomorrow."""
    assert PINNED.match(services()[name]["image"])


def test_our_image_has_the_version_of_the_project() -> None:
    """The tag of our image is the version of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {services()[name]["image"] for name in OURS} == {f"tidegate:{project['version']}"}


def test_kafka_is_the_version_that_the_tests_run() -> None:
    """The image of Kafka has the version that deploy/kafka/pom.xml lays down for the tests."""
    tree = ET.parse(ROOT / "deploy" / "kafka" / "pom.xml")  # noqa: S314 - a file of our own
    versions = [element.text for element in tree.iter() if element.tag.endswith("kafka.version")]
    assert services()["kafka"]["image"] == f"apache/kafka:{versions[0]}"


@pytest.mark.parametrize("name", OURS)
def test_variables_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every TIDEGATE_ variable of a service is a setting, and together they are settings that `tidegate` takes."""
    given = settings(services()[name])
    ours = {key: value for key, value in given.items() if key.startswith("TIDEGATE_")}
    assert set(ours) == set(given)
    assert set(ours) <= {variable(field) for field in Settings.model_fields}
    for key, value in ours.items():
        monkeypatch.setenv(key, value)
    assert load_settings({}, config=None).log == "kafka"


@pytest.mark.parametrize("name", OURS)
def test_commands_are_commands_of_ours(name: str) -> None:
    """The real command line takes every command."""
    [line] = simple_commands(" ".join(["tidegate", *services()[name]["command"]]), whole=True)
    assert wrong_with(line) is None


@pytest.mark.parametrize(("name", "half"), [("gate", "ingest"), ("answers", "answers")])
def test_each_half_is_a_process_of_its_own(name: str, half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the flags of its command beside its variables, a service is one half of `tidegate serve`."""
    for key, value in settings(services()[name]).items():
        monkeypatch.setenv(key, value)
    command, *arguments = services()[name]["command"]
    flags = main.commands[command].make_context(command, list(arguments)).params
    assert load_settings(flags, config=flags.pop("config")).only == half


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    """No capability, no new privilege, no privileged mode, and a limit on memory, CPU and processes."""
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", [*OURS, "proxy", "prometheus", "grafana"])
def test_a_service_is_not_root(name: str) -> None:
    """A service runs as a numbered user that is not root; Kafka's image brings such a user itself."""
    user, _, group = services()[name]["user"].partition(":")
    assert int(user) > 0
    assert group.isdigit()


@pytest.mark.parametrize("name", [*OURS, "proxy", "prometheus"])
def test_the_file_system_of_the_image_is_read_only(name: str) -> None:
    """What a service may write to are its volumes and a /tmp in memory."""
    assert services()[name]["read_only"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_comes_back(name: str) -> None:
    """A service that ends is started again; the one that makes the topics only where it failed."""
    assert services()[name]["restart"] == ("on-failure:5" if name == "topics" else "unless-stopped")


def test_services_start_in_the_order_of_the_pipeline() -> None:
    """Kafka is healthy before topics are made, topics are made before a gate or the follower starts, then the proxy."""
    found = services()
    order = start_order(found)
    assert [name for name in order if name in {"kafka", *OURS, "proxy"}] == [
        "kafka",
        "topics",
        "gate",
        "answers",
        "proxy",
    ]
    assert found["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in ("gate", "answers"):
        assert found[name]["depends_on"]["topics"] == {"condition": "service_completed_successfully"}


def test_devices_reach_the_proxy_and_nothing_else(whole: dict[str, Any]) -> None:
    """Only the proxy is published beyond this host, and no other service shares a network with its outer side."""
    beyond = {
        name
        for name, service in whole["services"].items()
        if any(not port.startswith("127.0.0.1:") for port in service.get("ports", []))
    }
    assert beyond == {"proxy"}
    assert [name for name, service in whole["services"].items() if "edge" in service["networks"]] == ["proxy"]
    outward = {name for name, network in whole["networks"].items() if not network.get("internal")}
    assert outward == {"edge", "desk"}
    assert {name for name, service in whole["services"].items() if "desk" in service["networks"]} == {
        "prometheus",
        "grafana",
    }


def test_only_the_proxy_speaks_for_devices(whole: dict[str, Any]) -> None:
    """The gate believes the network that it shares with the proxy, and nobody else is in it but the answers."""
    subnet = whole["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert settings(whole["services"]["gate"])["TIDEGATE_TRUSTED_PROXIES"] == subnet
    inside = {name for name, service in whole["services"].items() if "inside" in service["networks"]}
    assert inside == {"proxy", "gate", "answers"}


def test_an_address_that_docker_puts_in_place_of_a_devices_is_trusted_by_no_tier(whole: dict[str, Any]) -> None:
    """Where Docker's user-land proxy hides who connects, the device counts as outside in every tier that ships."""
    edge = ipaddress.ip_network(whole["networks"]["edge"]["ipam"]["config"][0]["subnet"])
    for tier in load_catalogue().tiers.values():
        trusted = [ipaddress.ip_network(network) for network in tier.admission.trusted_networks]
        assert not any(network.version == edge.version and network.overlaps(edge) for network in trusted)


def test_no_secret_is_in_the_file(whole: dict[str, Any]) -> None:
    """Passwords, keys and certificates are files that Compose hands over, and none of them is in the repository."""
    assert {source["file"].rpartition("/")[0] for source in whole["secrets"].values()} == {"./secrets"}
    assert not (DEPLOY / "secrets").exists() or "/deploy/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8")
    for service in whole["services"].values():
        for name in settings(service):
            assert "PASSWORD" not in name or name.endswith(("_FILE", "__FILE"))


def test_policies_are_those_that_ship_until_somebody_says_otherwise(whole: dict[str, Any]) -> None:
    """Gate, answers and topics go by the same directory of policies, which is that of this repository by default."""
    found = {bind_sources(whole["services"][name])["/etc/tidegate/policies"] for name in OURS}
    assert found == {TIERS_DIRECTORY.resolve()}


def test_a_gate_may_end_in_good_order(whole: dict[str, Any]) -> None:
    """Compose waits longer for a gate to end than a gate takes at most."""
    for name in ("gate", "answers"):
        assert int(whole["services"][name]["stop_grace_period"].removesuffix("s")) >= 15


def test_health_is_asked_where_somebody_waits_for_it(whole: dict[str, Any]) -> None:
    """A service that another one waits for until it is healthy has a check, its own or its image's."""
    for service in whole["services"].values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert name in ("gate", "answers") or "test" in whole["services"][name]["healthcheck"]
