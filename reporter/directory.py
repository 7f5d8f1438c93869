"""The one directory that a device's reporter writes to: readable by its owner alone, every file name in one place."""

import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reporter.state import BadSettings

VARIABLE = "TIDEGATE_REPORTER_DIR"
OURS_ALONE = 0o700
OTHERS = 0o077
ADMINISTRATOR = 0


class Directory:
    """Where the files of one device are; nothing is made or read before `make`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def usual(cls, environment: Mapping[str, str] = os.environ) -> "Directory":
        """The directory that the environment names, else the platform's place for the state of an application.

        Raises `BadSettings` where there is neither.
        """
        named = environment.get(VARIABLE)
        return cls(Path(named) if named else _platforms(environment) / "tidegate")

    def make(self) -> None:
        """Make the directory, and take from all others what rights they had on it; raises OSError and `BadSettings`.

        One that is somebody else's is not used: its owner could read what is in it, and put other settings there. Nor
        is one in which others work: whoever names it by mistake, /tmp for instance, shall not lock them out.
        """
        for missing in reversed([path for path in (self.path, *self.path.parents) if not path.exists()]):
            # One by one: `parents=True` would make those above as the umask says.
            missing.mkdir(mode=OURS_ALONE, exist_ok=True)
        is_open = self.path.stat().st_mode & OTHERS
        if is_open and self._is_of_others():
            raise BadSettings(
                "directory: it has files of others in it, and is open to others; name one that is the device's own"
            )
        _must_be_ours(self.path)
        if is_open:
            self.path.chmod(OURS_ALONE)

    def _is_of_others(self) -> bool:
        """Whether there are files in it, and it is no device's; an operator may have put a table there beforehand."""
        return not self.settings.exists() and any(file != self.spans for file in self.path.iterdir())

    @property
    def settings(self) -> Path:
        """Endpoint, token, identifiers, consents (`reporter.state`)."""
        return self.path / "settings.json"

    @property
    def queue(self) -> Path:
        """What waits to be sent (`reporter.queue`)."""
        return self.path / "queue.db"

    @property
    def evidence(self) -> Path:
        """What this device did, for its owner; never sent."""
        return self.path / "evidence.db"

    @property
    def sender_lock(self) -> Path:
        """Held by the one process that sends."""
        return self.path / "sender.lock"

    @property
    def agent_lock(self) -> Path:
        """Held by the one agent that runs (`reporter.agent`)."""
        return self.path / "agent.lock"

    @property
    def spans(self) -> Path:
        """The operator's table of providers and hosts, for spans of OpenTelemetry (`reporter.otel.table`)."""
        return self.path / "spans.json"

    @property
    def socket(self) -> Path:
        """Where an agent takes what applications observed."""
        return self.path / "agent.sock"


def _must_be_ours(path: Path) -> None:
    """The directory, and a link that leads there; a link may be the administrator's as well."""
    ours = os.geteuid()
    if path.stat().st_uid != ours or path.lstat().st_uid not in (ours, ADMINISTRATOR):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def _platforms(environment: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support"
    state = environment.get("XDG_STATE_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    return Path(state) if Path(state).is_absolute() else _home() / ".local" / "state"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user without an entry, as in a container
        raise BadSettings(f"directory: there is no home; {VARIABLE} may name one") from None


def given(path: Any) -> Path:
    """A path as an application gives it; raises `BadSettings`."""
    try:
        encoded = os.fsencode(path)
    except (TypeError, ValueError):  # may carry it
        encoded = b"\0"
    if not encoded or b"\0" in encoded:
        raise BadSettings("directory: must be a path")
    return Path(os.fsdecode(encoded))
