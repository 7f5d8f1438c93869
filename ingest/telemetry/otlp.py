"""When telemetry leaves the gate by OTLP, and what it says about where it comes from.

Rules held here:

* nothing is sent unless the standard OTEL_* variables ask for it: an endpoint, or `otlp` as the signal's exporter. The
  exporters read the other standard variables (headers, timeout, certificates, compression) themselves. HTTP with
  protobuf is the only protocol here;
* the resource is what is written below and nothing that a detector finds: no host, process, user or container. Of
  OTEL_RESOURCE_ATTRIBUTES only the keys that name a deployment are taken.
"""

import os
import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import Literal

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

Signal = Literal["METRICS", "TRACES"]

FROM_ENVIRONMENT = ("service.name", "service.namespace", "deployment.environment.name")
"""What the operator may say about a gate by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES."""

FLUSH_SECONDS = 2.0
"""How long a stop waits for a collector to take what is left."""


def otlp_asked(signal: Signal) -> bool:
    """Whether the environment asks for `signal` to be exported by OTLP."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = {name.strip().lower() for name in os.environ.get(f"OTEL_{signal}_EXPORTER", "").split(",")} - {""}
    if exporters:
        return "otlp" in exporters
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(os.environ.get(name, "").strip() for name in endpoints)


def gate_resource(gate_id: str) -> Resource:
    """The resource of one gate process; `gate_id` is random and tells nothing about the machine."""
    said = OTELResourceDetector().detect().attributes
    return Resource(
        {
            "service.name": "tidegate-gate",
            **{key: said[key] for key in FROM_ENVIRONMENT if key in said},
            "service.version": version("tidegate"),
            "service.instance.id": gate_id,
        }
    )


def flush(shut_down: Callable[[], object]) -> None:
    """Call `shut_down` of a provider, and leave it behind after `FLUSH_SECONDS`: its own limit is half a minute."""
    closer = threading.Thread(target=shut_down, name="telemetry flush", daemon=True)
    closer.start()
    closer.join(FLUSH_SECONDS)
