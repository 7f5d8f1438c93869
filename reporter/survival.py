"""Keeps what goes wrong in here away from the application: it is counted, and after too much of it nothing is done.

* No public call raises. What it was asked for wrongly, with a name that it does not know for instance, is counted as
  `misused` by the name of the call, and the rest of the call is done: an application may be newer than this library.
* An error of a kind that neither the language nor this library has came out of an object of the application: misused.
* Any other error is one of ours. It is counted by the module in which it was raised and its kind. After
  `MOST_ERRORS` of them the library turns itself off.
* Errors carry what an application said. None is kept, and none is written anywhere.
"""

import builtins
from collections import Counter
from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

MOST_ERRORS = 100
"""A library that fails this often does not do its work, and costs the application what it does instead."""

OTHER = "other"

SAYING = "reporter.observing."
"""The modules that do nothing but take down what an application says."""

P = ParamSpec("P")
R = TypeVar("R")


class Survival:
    """What went wrong in one reporter. `on_enough` is called once, when it was too much."""

    __slots__ = ("_on_enough", "errors", "misused")

    def __init__(self, on_enough: Callable[[], None]) -> None:
        self._on_enough = on_enough
        self.errors: Counter[str] = Counter()
        self.misused: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether so much went wrong that nothing is done any more."""
        return self.errors.total() >= MOST_ERRORS

    def begin_anew(self) -> None:
        """It was configured anew: as many errors as before are borne again."""
        self.errors.clear()

    def count(self, error: BaseException, call: str = OTHER) -> None:
        """An error of ours; nothing of it but its place and its kind is kept.

        Where it came up while a task was told of it is the application's, which said no number for instance.
        """
        before, place, kind = self.is_over, _place(error), _kind(error)
        if place.startswith(SAYING) or kind == OTHER:
            self.misused[call] += 1
            return
        self.errors[f"{place} {kind}"] += 1
        if self.is_over and not before:
            self._on_enough()


class Surviving(Protocol):
    """What has public calls."""

    @property
    def survival(self) -> Survival: ...


S = TypeVar("S", bound=Surviving)


Call = Callable[Concatenate[S, P], R]


def guarded(instead: Callable[[], R]) -> Callable[[Call[S, P, R]], Call[S, P, R]]:
    """A public call that does not raise; `instead` makes what it gives where it cannot do what it was asked."""

    def guarding(call: Call[S, P, R]) -> Call[S, P, R]:
        def guard(self: S, /, *args: P.args, **said: P.kwargs) -> R:
            try:
                return call(self, *args, **said)
            except Exception as error:  # noqa: BLE001  # the rim: an application must not hear of it
                try:
                    return _after(error, call, (self, *args), said)
                except Exception as again:  # noqa: BLE001  # as above
                    self.survival.count(again, call.__name__)
                    return instead()

        update_wrapper(guard, call)
        return guard

    return guarding


def nothing() -> None:
    """What a call gives that gives nothing."""


def _after(error: Exception, call: Callable[..., R], args: tuple[Any, ...], said: dict[str, Any]) -> R:
    """The call with those of its arguments that it knows, if that was what went wrong; raises what else it was."""
    # The call itself was refused, where nothing below the frame of the guard was reached.
    refused = isinstance(error, TypeError) and (error.__traceback__ is None or error.__traceback__.tb_next is None)
    if not refused:
        raise error
    args[0].survival.misused[call.__name__] += 1
    parameters = signature(call).parameters.values()
    names = {one.name for one in parameters if one.kind in (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)}
    places = [one for one in parameters if one.kind is not Parameter.KEYWORD_ONLY]
    known = {name: value for name, value in said.items() if name in names}
    variadic = any(one.kind is Parameter.VAR_POSITIONAL for one in places)
    return call(*(args if variadic else args[: len(places)]), **known)


def _place(error: BaseException) -> str:
    """The module of this library in which the error came up last."""
    place, step = OTHER, error.__traceback__
    while step is not None:
        name = str(step.tb_frame.f_globals.get("__name__", ""))
        place = name if name.partition(".")[0] == "reporter" else place
        step = step.tb_next
    return place


def _kind(error: BaseException) -> str:
    """The name of a kind that the language or this library has; an application's own may say too much."""
    kind = type(error)
    ours = kind.__module__.partition(".")[0] in ("reporter", "sqlite3", "fastavro")
    return kind.__name__ if ours or getattr(builtins, kind.__name__, None) is kind else OTHER
