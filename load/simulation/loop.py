"""Virtual time: an event loop that never waits, whose processes can be killed or stopped between any two steps.

Rules held here:

* time jumps to the next timer as soon as nothing is ready, and stands still while anything runs. Callbacks run in
  asyncio's own order, so that nothing is simulated that asyncio could not do;
* a simulated process is a name in the context of its callbacks (`contextvars` hands it on to every task and timer that
  they begin). A killed one gets no further turn: no `finally`, no `except CancelledError`, as with SIGKILL. A stopped
  one finds its turns again when it is continued, as with SIGSTOP;
* what goes to a thread runs in this one. It takes the time that the thread draws, and happens somewhere within it, so
  that a process can be killed before and after what its thread did.

This overrides how `asyncio.BaseEventLoop` runs callbacks, which has been the same since Python 3.7.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

PROCESS: ContextVar["Process"] = ContextVar("process")


class Stuck(Exception):
    """Nothing is ready and no timer is set: whoever waits does so for ever."""


class Killed(BaseException):
    """Raised in a simulated thread: its process is killed at this place."""


class Process:
    """A simulated process of the operating system; it lives until `kill` or `exit`. `left`: tasks at its exit."""

    def __init__(self, name: str, loop: "VirtualLoop") -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.stopped_seconds = 0.0
        self.left = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.held: list[asyncio.Handle] = []
        self.on_kill: list[Callable[[], None]] = []
        self._loop = loop
        self._context: Context = copy_context()
        self._context.run(PROCESS.set, self)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let `work` run as a task of this process, with all that it begins."""
        return self._loop.create_task(work, context=self._context.copy())

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive:
            self.alive = False
            self.held.clear()
            for tell in self.on_kill:
                tell()

    def exit(self) -> None:
        """End from within, by the last step of one of its tasks; what a thread is doing ends with it."""
        self.left = sum(not task.done() for task in self.tasks) - 1
        self.alive = False

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """SIGCONT."""
        self.stopped = False
        held, self.held = self.held, []
        self._loop.resume(held)

    @property
    def idle(self) -> bool:
        """Whether every task has ended."""
        return all(task.done() for task in self.tasks)


class Thread(Executor):
    """A simulated thread: one job after the other, each taking `seconds()`."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self.free_at = 0.0


class VirtualLoop(asyncio.BaseEventLoop):
    """`share()` says at which part of its time a thread's job happens, `thread_seconds()` how long other jobs take."""

    # What the base has and its type stubs do not name.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self, *, share: Callable[[], float], thread_seconds: Callable[[], float]) -> None:
        super().__init__()
        self.set_debug(False)
        self.faults: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._now = 0.0
        self._share = share
        self._thread_seconds = thread_seconds
        self._threads: dict[Executor | None, Thread] = {}
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]  # the stubs' factory takes any future
        self.set_exception_handler(self._note_fault)

    def time(self) -> float:
        return self._now

    def timers_left(self) -> int:
        """How many timers are set, those of killed processes left out."""
        return sum(not handle.cancelled() and self._is_alive(handle) for handle in self._scheduled)

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Give callbacks their turn after all."""
        self._ready.extend(handles)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # typeshed gives the base's method type variables of its own
        """What `func` returns, after the time that it takes; jobs of one executor wait for each other."""
        thread = executor if isinstance(executor, Thread) else self._thread(executor)
        future: asyncio.Future[T] = self.create_future()
        begins = max(self._now, thread.free_at)
        seconds = thread.seconds()
        thread.free_at = begins + seconds
        self.call_at(begins + seconds * self._share(), self._do, future, func, args, thread.free_at)
        return future

    def close(self) -> None:
        """Let go of everything, unfinished tasks of killed processes included, without a word about them."""
        self._threads.clear()
        super().close()

    def _thread(self, executor: Executor | None) -> Thread:
        thread = self._threads.get(executor)
        if thread is None:
            thread = self._threads[executor] = Thread(self._thread_seconds)
        return thread

    def _do(self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...], ends: float) -> None:
        try:
            result = func(*args)
        except Killed:
            PROCESS.get().kill()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's, as with a real thread
            self.call_at(ends, _fail, future, error)
        else:
            self.call_at(ends, _answer, future, result)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready and not self._stopping:
            if not scheduled:
                raise Stuck("nothing is left to happen, and somebody still waits")
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            ready.append(heapq.heappop(scheduled))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                self._take_turn(handle)

    def _is_alive(self, handle: asyncio.Handle) -> bool:
        process = _owner(handle)
        return process is None or process.alive

    def _take_turn(self, handle: asyncio.Handle) -> None:
        process = _owner(handle)
        if process is None or (process.alive and not process.stopped):
            handle._run()  # noqa: SLF001  # as the base does
        elif process.alive:
            process.held.append(handle)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        self.tasks.append(task)
        context = options.get("context")
        process = PROCESS.get(None) if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.append(task)
        return task

    def _note_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.faults.append(f"{context.get('message')}: {type(error).__name__}: {error}")

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no other threads."""


def _owner(handle: asyncio.Handle) -> Process | None:
    return handle._context.get(PROCESS)  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  # only the handle knows whose turn it is


def _answer(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
