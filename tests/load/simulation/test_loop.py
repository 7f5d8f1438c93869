"""Virtual time, processes that are killed and stopped, and threads that are drawn."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from load.simulation.loop import Killed, Process, Stuck, Thread, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop whose threads take 2 seconds, and do what they do at the end of them."""
    loop = VirtualLoop(share=lambda: 1.0, thread_seconds=lambda: 2.0)
    yield loop
    for task in loop.tasks:
        task.cancel()
        task.get_coro().close()
    loop.close()


def test_time_jumps(loop: VirtualLoop) -> None:
    """A sleep of a year ends a year later, by the loop's clock."""
    loop.run_until_complete(asyncio.sleep(365 * 86_400))
    assert loop.time() == 365 * 86_400


def test_timers_run_in_their_order(loop: VirtualLoop) -> None:
    """What is due earlier happens earlier, and a deadline passes between."""
    seen: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        seen.append(name)

    async def story() -> None:
        late = asyncio.create_task(after(3, "late"))
        early = asyncio.create_task(after(1, "early"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await late
        seen.append("deadline")
        await early

    loop.run_until_complete(story())
    assert seen == ["early", "deadline"]


def test_waiting_for_nothing_is_noticed(loop: VirtualLoop) -> None:
    """Waiting for what can never happen raises instead of hanging."""
    with pytest.raises(Stuck):
        loop.run_until_complete(loop.create_future())


def _counting(seen: list[float]) -> Coroutine[Any, Any, None]:
    async def work() -> None:
        try:
            while True:
                await asyncio.sleep(1)
                seen.append(asyncio.get_running_loop().time())
        finally:
            seen.append(-1)

    return work()


def test_a_killed_process_gets_no_further_turn(loop: VirtualLoop) -> None:
    """After a kill nothing of a process runs: not what it waited for, and no `finally`."""
    seen: list[float] = []
    process = Process("victim", loop)
    process.begin(_counting(seen))
    loop.call_later(2.5, process.kill)
    loop.run_until_complete(asyncio.sleep(10))
    assert seen == [1, 2]
    assert not process.idle


def test_what_a_process_began_is_killed_with_it(loop: VirtualLoop) -> None:
    """Tasks that its tasks began, and timers that those set, belong to the process."""
    seen: list[float] = []

    async def begins_another() -> None:
        another = asyncio.create_task(_counting(seen))
        asyncio.get_running_loop().call_later(5, seen.append, 5.0)
        await another

    process = Process("victim", loop)
    process.begin(begins_another())
    loop.call_later(2.5, process.kill)
    loop.run_until_complete(asyncio.sleep(10))
    assert seen == [1, 2]


def test_a_stopped_process_goes_on_later(loop: VirtualLoop) -> None:
    """A process that was stopped takes the turns that it missed once it is continued."""
    seen: list[float] = []
    process = Process("stopped", loop)
    process.begin(_counting(seen))
    loop.call_later(1.5, process.stop)
    loop.call_later(4.5, process.go_on)
    loop.run_until_complete(asyncio.sleep(6))
    assert seen == [1, 4.5, 5.5]


@pytest.mark.parametrize(
    "executor",
    [
        pytest.param(lambda: Thread(lambda: 2.0), id="a simulated thread"),
        pytest.param(lambda: ThreadPoolExecutor(max_workers=1), id="a real executor, of which no thread is started"),
    ],
)
def test_jobs_of_a_thread_follow_each_other(loop: VirtualLoop, executor: Callable[[], Any]) -> None:
    """Two jobs of one thread take twice the time of one, and each returns what it returns."""
    thread = executor()

    async def story() -> list[str]:
        here = asyncio.get_running_loop()
        return list(await asyncio.gather(*(here.run_in_executor(thread, str.upper, name) for name in ("a", "b"))))

    assert loop.run_until_complete(story()) == ["A", "B"]
    assert loop.time() == 4.0


def test_an_error_of_a_thread_is_its_callers(loop: VirtualLoop) -> None:
    """What a job raises is raised where it is awaited."""

    async def story() -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            await asyncio.get_running_loop().run_in_executor(None, int, "x")

    loop.run_until_complete(story())


def test_a_thread_can_kill_its_process(loop: VirtualLoop) -> None:
    """A process that is killed while its thread works does not go on behind it."""
    seen: list[str] = []

    def dies() -> None:
        seen.append("worked")
        raise Killed

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(None, dies)
        seen.append("went on")

    process = Process("victim", loop)
    process.begin(work())
    loop.run_until_complete(asyncio.sleep(10))
    assert seen == ["worked"]
    assert not process.alive
