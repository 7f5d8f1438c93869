"""settings.json: where a device reports to, as whom, and what its owner agreed to. All that it keeps of identifiers.

* The file is its owner's alone to read. It is written whole beside its place and renamed: no reader sees half of it.
* A name that is not a setting is refused, with the nearest right one. A value never appears in an error, and neither a
  token nor an identifier in the `repr` of anything here.
* A token goes over TLS, or nowhere further than this machine.
"""

import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from reporter.reports import IDENTIFIERS, PURPOSES, is_utf_8

FACTS = ("region", "site", "os", "os_version", "hardware_model")
"""What may be said of a device in words of no list."""

HARDWARE_TIERS = ("small", "medium", "large", "workstation")
NETWORK_CONTEXTS = ("vpn", "office", "guest", "home", "roaming", "offline", "other")
ON_TIER_CHANGE = ("keep", "discard")
"""What becomes of the reports that were made for the tier before: kept for its return, or dropped and counted."""

ENVIRONMENT = "environment"
"""The `proxy` setting that says: the one that HTTPS_PROXY names. Without it that variable is not looked at."""

DRAFT_SECONDS = 60.0
"""Writing takes milliseconds: a draft of that age was left by a process that was killed."""

MAX_BYTES = 1 << 16
LONGEST_TEXT = 1024


class BadSettings(Exception):
    """The settings cannot be used; the message names the setting and what it may be, never what it is."""


@dataclass(frozen=True, slots=True)
class Device:
    """Facts that stand at the head of every report, as far as the tier keeps them. None is not said."""

    region: str | None = None
    site: str | None = None
    os: str | None = None
    os_version: str | None = None
    hardware_model: str | None = None
    hardware_tier: str = "medium"
    agent_version: str | None = None
    network_context: str = "other"

    def fields(self) -> dict[str, str | None]:
        """The facts by the names of the report's fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Settings:
    """Valid once it exists: `__post_init__` raises `BadSettings`. `consents` are the purposes that are agreed to."""

    endpoint: str
    token: str = field(repr=False)
    device: Device = field(default_factory=Device)
    identifiers: Mapping[str, str] = field(default_factory=dict, repr=False)
    consents: frozenset[str] = frozenset()
    on_tier_change: str = "keep"
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "endpoint", _endpoint(self.endpoint))
        _token(self.token)
        _device(self.device)
        _known(self.identifiers, IDENTIFIERS, "identifiers.")
        _texts(self.identifiers, "identifiers.")
        _known(self.consents, PURPOSES, "consents.")
        _one_of("on_tier_change", self.on_tier_change, ON_TIER_CHANGE)
        _texts({name: value for name in ("ca_file", "proxy") if (value := getattr(self, name)) is not None}, "")
        _proxy(self.proxy)

    @classmethod
    def from_json(cls, document: bytes) -> "Settings":
        """The settings that a file holds; raises `BadSettings`."""
        found = _parsed(document)
        _known(found, [setting.name for setting in fields(cls)], "")
        if missing := [name for name in ("endpoint", "token") if name not in found]:
            raise BadSettings(f"{missing[0]}: missing")
        device = _object(found, "device")
        _known(device, [fact.name for fact in fields(Device)], "device.")
        consents = _object(found, "consents")
        if not all(isinstance(given, bool) for given in consents.values()):
            raise BadSettings("consents: each is true or false")
        _known(consents, PURPOSES, "consents.")
        given = frozenset(purpose for purpose, agreed in consents.items() if agreed)
        inner = {"device": Device(**device), "identifiers": _object(found, "identifiers"), "consents": given}
        return cls(**{**found, **inner})

    def as_json(self) -> bytes:
        """What `from_json` reads."""
        document = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        document["device"] = self.device.fields()
        document["identifiers"] = dict(self.identifiers)
        document["consents"] = {purpose: purpose in self.consents for purpose in PURPOSES}
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def new_device_id() -> str:
    """A name for a device that says nothing of it."""
    return secrets.token_hex(16)


def read(path: Path) -> Settings:
    """The settings in a file, which is then its owner's alone; raises OSError and `BadSettings`."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        # Somebody else's file, a secret that was mounted for instance, has the rights that they gave it.
        if status.st_mode & 0o077 and status.st_uid == os.geteuid():
            os.fchmod(file.fileno(), 0o600)
        return Settings.from_json(file.read(MAX_BYTES + 1))


def write(path: Path, settings: Settings) -> None:
    """Put the settings in the place of those before, on disk when this returns; raises OSError."""
    remove_drafts(path)
    draft = path.with_name(f"{_drafts(path)}{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(settings.as_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:  # whatever it was, a token must not stay behind in a file that nobody knows
        draft.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def remove_drafts(path: Path) -> None:
    """Remove what processes that were killed while they wrote have left: it holds a token, and maybe names."""
    with suppress(OSError):
        for draft in path.parent.glob(f"{_drafts(path)}*"):
            if draft.stat().st_mtime < time.time() - DRAFT_SECONDS:
                draft.unlink(missing_ok=True)


def _drafts(path: Path) -> str:
    """How the names of drafts begin."""
    return f".{path.name}."


class SettingsFile:
    """The settings as they are now: the file is read again whenever it was changed, by whichever process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._settings: Settings | None = None

    def __call__(self) -> Settings | None:
        """The settings, or None where there is no file; raises `BadSettings` and OSError."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen = self._settings = None
            return None
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if seen != self._seen:
            self._settings = read(self._path)
            self._seen = seen
        return self._settings


def _parsed(document: bytes) -> dict[str, Any]:
    if len(document) > MAX_BYTES:
        raise BadSettings(f"the file is over {MAX_BYTES} bytes")
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):  # the errors of json carry the document
        raise BadSettings("the file is not JSON") from None
    if not isinstance(found, dict):
        raise BadSettings("the file is not a JSON object")
    return found


def _object(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name, {})
    if not isinstance(value, dict):
        raise BadSettings(f"{name}: must be an object")
    return value


def _known(names: Iterable[str], known: Iterable[str], within: str) -> None:
    known = tuple(known)
    for name in names:
        if name not in known:
            raise BadSettings(f"{within}{name[:40]}: there is no such setting; {_nearest(name, known)}")


def _nearest(name: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only for whoever has mistyped a name

    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _texts(values: Mapping[str, Any], within: str) -> None:
    for name, value in values.items():
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT or not is_utf_8(value):
            raise BadSettings(f"{within}{name}: must be a text of 1 to {LONGEST_TEXT} characters")


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadSettings(f"{name}: must be one of {', '.join(allowed)}")


def _device(device: Device) -> None:
    _texts({name: value for name, value in device.fields().items() if value is not None}, "device.")
    _one_of("device.hardware_tier", device.hardware_tier, HARDWARE_TIERS)
    _one_of("device.network_context", device.network_context, NETWORK_CONTEXTS)


def _token(token: Any) -> None:
    # Anything else could not stand in a header, or would end it.
    if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TEXT or not all("!" <= c <= "~" for c in token):
        raise BadSettings("token: must be a text of visible ASCII characters without blanks")


def _endpoint(endpoint: Any) -> str:
    parts = _url("endpoint", endpoint)
    if parts.query or parts.fragment or parts.username is not None:
        raise BadSettings("endpoint: must have no user, no query and no fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(str(parts.hostname))):
        raise BadSettings("endpoint: must begin with https://; http:// is for a gate on this machine only")
    return str(endpoint).rstrip("/")


def _proxy(proxy: str | None) -> None:
    if proxy not in (None, ENVIRONMENT) and _url("proxy", proxy).scheme != "http":
        raise BadSettings(f'proxy: must begin with http://, or be "{ENVIRONMENT}"')


def _url(name: str, value: Any) -> SplitResult:
    """A URL with a host, in visible ASCII; anything else could end the line that it stands in."""
    problem = BadSettings(f"{name}: must be a URL with a host, in ASCII")
    if not isinstance(value, str) or not all("!" <= c <= "~" for c in value):
        raise problem
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # carries the value
        raise problem from None
    if not usable:
        raise problem
    return parts


def is_this_machine(host: str) -> bool:
    """Whether what is sent to the host stays here."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    from ipaddress import ip_address  # noqa: PLC0415  # 5 ms that a device with a real gate need not spend

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _sync(directory: Path) -> None:
    """Make the names in a directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
