"""deploy/compose.yaml as Compose reads it: variables filled in from their defaults, merges done."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.documents import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE_FILE = DEPLOY / "compose.yaml"

VARIABLE = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")
OTHER_DOLLAR = re.compile(r"\$(?!\{\w+:-[^}]*\})")


def load(given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with its variables as `given`, or at their defaults."""
    return _filled(yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8")), given or {})  # type: ignore[no-any-return]


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    """`value` with every `${NAME:-default}` in it replaced, which is the one form of Compose's that the file uses."""
    if isinstance(value, dict):
        return {key: _filled(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, given) for inner in value]
    if isinstance(value, str):
        assert not OTHER_DOLLAR.search(value), f"{value}: this form of a variable is not read here"
        return VARIABLE.sub(lambda match: given.get(match["name"]) or match["default"], value)
    return value


def services() -> dict[str, dict[str, Any]]:
    """Every service by its name."""
    found: dict[str, dict[str, Any]] = load()["services"]
    return found


def settings(service: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a service that is not left empty."""
    return {name: str(value) for name, value in service.get("environment", {}).items() if str(value)}


def bind_sources(service: Mapping[str, Any]) -> dict[str, Path]:
    """The files and directories of this repository that a service sees, by where it sees them."""
    mounts = (mount.removesuffix(":ro").rpartition(":") for mount in service.get("volumes", []))
    return {target: (DEPLOY / source).resolve() for source, _, target in mounts if source.startswith(".")}


def start_order(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Services so that each comes after those that it depends on; raises ValueError where they go round in a circle."""
    order: list[str] = []
    while len(order) < len(found):
        ready = [
            name
            for name, service in found.items()
            if name not in order and set(service.get("depends_on", {})) <= {*order}
        ]
        if not ready:
            raise ValueError(f"services depend on each other: {sorted({*found} - {*order})}")
        order += ready
    return order
