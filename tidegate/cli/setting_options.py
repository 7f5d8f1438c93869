"""Settings as options of a command: `tidegate serve` takes all of them, other commands those that they need."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from tidegate.settings import Settings, flag

Command = TypeVar("Command", bound=Callable[..., Any])

KAFKA_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("kafka_"))


def setting_options(*names: str) -> Callable[[Command], Command]:
    """An option for each of these settings, with its description as help; the default stays with `Settings`."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _option(name, Settings.model_fields[name])(command)
        return command

    return decorate


def _option(name: str, info: FieldInfo) -> Callable[[Command], Command]:
    default = "required" if info.is_required() else f"default: {info.default or 'none'}"
    return click.option(
        flag(name), name, default=None, metavar=_metavar(name, info), help=f"{info.description}  [{default}]"
    )


def _metavar(name: str, info: FieldInfo) -> str:
    """What a value of the setting looks like."""
    kind = info.annotation
    words = _words(kind)
    if words:
        return f"[{'|'.join(words)}]"
    if name.endswith("_seconds"):
        return "SECONDS"
    if name in ("data", "tiers"):
        return "DIRECTORY"
    if name.startswith("tls_") or name.endswith("_file"):
        return "FILE"
    return "NUMBER" if kind is int else "TEXT"


def _words(kind: Any) -> tuple[str, ...]:
    """The only values of a setting that has a few, whether or not it may be left away."""
    choices = [get_args(one) if get_origin(one) else (one,) for one in (get_args(kind) or ())]
    flat = tuple(word for choice in choices for word in choice if word is not type(None))
    return flat if flat and all(isinstance(word, str) for word in flat) else ()
