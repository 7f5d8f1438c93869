"""From what an application says of its device to `settings.json`, where every process of the device finds it.

What is said stands in the place of what the file said; what is not said stays. Where the file cannot be written the
settings hold for this process alone.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from reporter.directory import Directory
from reporter.reports import PURPOSES
from reporter.state import BadSettings, Settings, SettingsFile, new_device_id, write


class MoreSettings(TypedDict, total=False):
    """What may be said beside endpoint and token: see docs/reporter.md."""

    device: Mapping[str, str | None]
    identifiers: Mapping[str, str]
    consents: Mapping[str, bool]
    on_tier_change: str
    ca_file: str | None
    proxy: str | None


class Source:
    """The settings as they are now; `in_memory` stands for a file that cannot be written.

    A consent that was withdrawn is withdrawn whatever the file says, until that could be written there.
    """

    def __init__(self, path: Path, in_memory: Settings | None = None) -> None:
        self._path = path
        self._read: Callable[[], Settings | None] = SettingsFile(path)
        self._in_memory = in_memory
        self._withdrawn: frozenset[str] = frozenset()

    def __call__(self) -> Settings | None:
        """Raises `BadSettings` and OSError."""
        settings = self._found()
        if settings is None or not self._withdrawn & settings.consents:
            return settings
        return self._written(replace(settings, consents=settings.consents - self._withdrawn))

    def _found(self) -> Settings | None:
        return self._read() or self._in_memory

    def _written(self, changed: Settings) -> Settings:
        """The settings, on disk if they can be written now."""
        if self._in_memory is not None:
            self._in_memory = changed
        with suppress(OSError):
            write(self._path, changed)
            self._withdrawn = frozenset()
        return changed

    def consent(self, purpose: str, *, given: bool) -> None:
        """A person's answer, on disk when this returns if that can be written; raises `BadSettings` and OSError."""
        if purpose not in PURPOSES:
            raise BadSettings(f"consents: there are {', '.join(PURPOSES)}")
        self._withdrawn = self._withdrawn - {purpose} if given else self._withdrawn | {purpose}
        settings = self()
        if settings is not None and given and purpose not in settings.consents:
            self._written(replace(settings, consents=settings.consents | {purpose}))


def found(directory: Directory) -> Source | None:
    """The settings that are there; None without a file. Raises `BadSettings` and OSError."""
    source = Source(directory.settings)
    return None if source() is None else source


def configured(directory: Directory, endpoint: str | None, token: str | None, said: Mapping[str, Any]) -> Source:
    """The settings with what was said; raises `BadSettings` and OSError."""
    before = _before(directory, endpoint, token)
    settings = _changed(before, {"endpoint": endpoint, "token": token, **said})
    if settings != before:
        try:
            directory.make()
            write(directory.settings, settings)
        except OSError:
            return Source(directory.settings, settings)
    return Source(directory.settings)


def why(error: Exception) -> str:
    """Why there are no settings, in words that hold none of their values."""
    return str(error) if isinstance(error, BadSettings) else "settings.json cannot be read"


def _before(directory: Directory, endpoint: str | None, token: str | None) -> Settings | None:
    try:
        return SettingsFile(directory.settings)()
    except BadSettings:
        # Whoever says all that is needed does not depend on what is in a file that nobody can read.
        if endpoint is None or token is None:
            raise
        return None


def _changed(before: Settings | None, said: Mapping[str, Any]) -> Settings:
    """The settings before, or those of a new device, with what was said; None is not said."""
    document: dict[str, Any] = {"identifiers": {"device_id": new_device_id()}}
    if before is not None:
        document = json.loads(before.as_json())
    for name, value in said.items():
        if isinstance(value, Mapping) and isinstance(document.get(name), dict):
            document[name] |= value
        elif value is not None:
            document[name] = dict(value) if isinstance(value, Mapping) else value
    try:
        return Settings.from_json(json.dumps(document).encode())
    except (TypeError, ValueError, RecursionError):  # may carry what was said
        raise BadSettings("something was said that is no text, no number and not true or false") from None
