"""What an application says by name, as a note: what it left out is unsaid, and what does not exist is left out."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from reporter.observing.observation import NOTED


def note_of(kind: type[Any], said: Mapping[str, Any]) -> tuple[Any, int]:
    """A note of that kind, and how many names in `said` it does not have."""
    unsaid = UNSAID[kind]
    known = {name: said[name] for name in said if name in unsaid}
    return kind(**{**unsaid, **known}), len(said) - len(known)


UNSAID: Mapping[type[Any], Mapping[str, Any]] = {
    kind: {field.name: None if field.default is MISSING else field.default for field in fields(kind)}
    for kind in NOTED.values()
}
"""What each field of a note is where nothing is said of it."""
