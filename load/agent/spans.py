"""One span for each task, and one for each model file that a device tells of, with what the same answers need.

Names are those of the semantic conventions for generative AI where there are such, else those that the library's own
receiver of spans understands (docs/otel.md). What is unsaid, zero or untrue is left out.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from load.fleet.nouns import Device, Installation, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

TASK, FILE = "chat", "model file"

NAMES = {
    "tokens_in": "gen_ai.usage.input_tokens",
    "tokens_out": "gen_ai.usage.output_tokens",
    "model": "gen_ai.response.model",
}

NOT_SAID = frozenset({"device", "time", "latency_ms", "violations", "hour"})
"""The resource, the span's own times, and what whoever knows the rules can work out."""

Attributes = dict[str, Any]


def resource_of(device: Device) -> Attributes:
    """What the resource says of a device: the header of the library's reports."""
    return {
        "service.name": "assistant",
        "service.version": device.agent_version,
        "host.id": device.identifiers.device_id,
        "os.type": device.os,
        "os.version": device.os_version,
        "cloud.region": device.region,
        "tidegate.site": device.site,
        "tidegate.hardware_model": device.hardware_model,
        "tidegate.hardware_tier": device.hardware_tier,
        "tidegate.network_context": device.network_context,
    }


def of_task(task: Task) -> Attributes:
    """A task's facts."""
    said = _said(task)
    first = said.pop("tidegate.first_token_ms", None)
    if first is not None:
        said["gen_ai.response.time_to_first_chunk"] = first / 1000
    if not task.fallback_reason or task.fallback_reason == "none":
        for name in ("fallback_reason", "consent", "disclosed"):
            said.pop(f"tidegate.{name}", None)
    return said | {"gen_ai.operation.name": "chat"}


def of_file(file: Installation) -> Attributes:
    """A model file's facts."""
    return _said(file)


def _said(noun: Task | Installation) -> Attributes:
    facts: Mapping[str, Any] = {field.name: getattr(noun, field.name) for field in fields(noun)}
    return {
        NAMES.get(name, f"tidegate.{name}"): sorted(fact) if isinstance(fact, frozenset) else fact
        for name, fact in facts.items()
        if name not in NOT_SAID and fact
    }
