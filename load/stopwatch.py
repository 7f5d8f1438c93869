"""CPU time by stage, of work that is done one thing after the other, on whichever thread."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any


class Stopwatch:
    """What this process spends from construction on. A stage within another is taken out of the outer one."""

    def __init__(self, outermost: str) -> None:
        self._stages = [outermost]
        self._seconds: dict[str, float] = defaultdict(float)
        self._since = time.process_time()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is spent in the body belongs to `name`."""
        self._account()
        self._stages.append(name)
        try:
            yield
        finally:
            self._account()
            self._stages.pop()

    @contextmanager
    def watching(self, owner: Any, function: str, *, stage: str) -> Iterator[None]:
        """In the body, what `owner.function` spends belongs to `stage`; it may be a coroutine function."""
        original: Callable[..., Any] = getattr(owner, function)

        def watched(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return original(*arguments, **named)

        async def awaited(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return await original(*arguments, **named)

        setattr(owner, function, awaited if iscoroutinefunction(original) else watched)
        try:
            yield
        finally:
            setattr(owner, function, original)

    def seconds(self) -> Mapping[str, float]:
        """User and system time of the process by stage, so far."""
        self._account()
        return dict(self._seconds)

    def _account(self) -> None:
        now = time.process_time()
        self._seconds[self._stages[-1]] += now - self._since
        self._since = now
