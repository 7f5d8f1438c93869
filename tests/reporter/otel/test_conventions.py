"""The data file against what OpenTelemetry publishes, and the promise that nothing else is looked at."""

import json
from importlib import import_module
from importlib.resources import files

import pytest

from reporter.otel.conventions import FILE, conventions
from reporter.reports import schema

PUBLISHED = ("gen_ai", "error", "server", "net")

NEWER = {"gen_ai.server.time_to_first_token"}
"""The name of a metric, which instrumentations write on spans too."""

CONTENT = (
    "gen_ai.prompt", "gen_ai.completion", "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.tool.definitions", "gen_ai.conversation.id",
    "gen_ai.agent.name", "gen_ai.response.id", "gen_ai.retrieval.query.text", "user.id", "session.id", "url.full",
)  # fmt: skip


def published() -> set[str]:
    """Every name of an attribute in OpenTelemetry's package of names."""
    modules = [import_module(f"opentelemetry.semconv._incubating.attributes.{name}_attributes") for name in PUBLISHED]
    return {value for module in modules for value in vars(module).values() if isinstance(value, str)}


def test_attributes_are_published_ones() -> None:
    """Every attribute that is looked at is one of the conventions, or the reporter's own by its field's name."""
    ours = {f"tidegate.{name}" for name in conventions().fields} | {"tidegate.task"}
    assert conventions().wanted.attributes <= published() | ours | NEWER


@pytest.mark.parametrize("name", CONTENT)
def test_content_is_not_looked_at(name: str) -> None:
    """No attribute that holds what people wrote, or who they are, is on the list."""
    assert name not in conventions().wanted.attributes


def test_providers_are_published_ones() -> None:
    """Every vendor of the conventions, old names included, leads to the vendor's zone."""
    names = import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    known = {one.value for group in (names.GenAiProviderNameValues, names.GenAiSystemValues) for one in group}
    assert known <= {name for name, route in conventions().providers.items() if route == "managed_cloud"}


def test_operations_are_published_ones() -> None:
    """The operations that are tasks are names of the conventions."""
    names = import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    assert conventions().operations <= {one.value for one in names.GenAiOperationNameValues}


def test_words_of_the_file_are_the_schemas() -> None:
    """Routes and sizes in the file are symbols of the report."""
    symbols = {field.name: field.symbols for field in schema("route_window").by_path["rows"].fields}
    assert {*conventions().hosts.values(), *conventions().providers.values()} <= set(symbols["actual_route"])
    assert {size for size, _ in conventions().input_sizes} <= set(symbols["input_size"])


def test_the_file_carries_its_version() -> None:
    """The version in the file is that of its name."""
    found = json.loads(files("reporter.otel").joinpath(FILE).read_bytes())
    assert f"genai.v{found['version']}.json" == FILE
    assert conventions().version == found["version"]
