"""Who may add to a directory: the follower that came last; two and three at once, one step of the system at a time."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aggregators import fence as module
from aggregators.fence import EPOCHS_NAME, Fence, Fenced
from aggregators.publication.published import finish, folder, numbers, verified

NOON = datetime(2026, 11, 20, 12)  # noqa: DTZ001  # naive UTC, as publications have it
STEPS = ("rename", "mkdir", "open", "listdir", "scandir", "unlink", "rmdir")
"""The calls of the system before each of which another process may come."""

TURN_SECONDS = 60.0


def add(fence: Fence, content: str) -> int:
    """Add the next number, as a publication is added; says which."""
    number = max(numbers(fence.directory), default=0) + 1
    draft = fence.new_draft()
    (draft / "content").write_text(content)
    finish(draft, fence, number=number, at=NOON, complete_to=NOON)
    return number


def contents(directory: Path) -> list[str]:
    """What is in the directory, by number; each folder is whole."""
    for number in numbers(directory):
        verified(directory, number)
    return [(folder(directory, number) / "content").read_text() for number in numbers(directory)]


def test_whoever_comes_last_adds(tmp_path: Path) -> None:
    """A second claim stops the first owner, who is told by whom, without a path; what it had added counts."""
    first = Fence.claim(tmp_path / "published")
    assert add(first, "first") == 1
    second = Fence.claim(tmp_path / "published")
    assert (first.epoch, second.epoch) == (1, 2)
    with pytest.raises(Fenced, match=rf"taken over the published: epoch 2 was claimed by process {os.getpid()} ") as e:
        add(first, "late")
    assert str(tmp_path) not in str(e.value)
    assert add(second, "second") == 2
    assert contents(tmp_path / "published") == ["first", "second"]


def test_a_draft_of_before_never_gets_its_place(tmp_path: Path) -> None:
    """Its owner having looked for the last time before the other one came, it finds its draft taken away."""
    first = Fence.claim(tmp_path)
    draft = first.new_draft()
    first.check()
    Fence.claim(tmp_path)
    with pytest.raises(Fenced), first.explaining():
        first.put(draft, folder(tmp_path, 1))
    assert numbers(tmp_path) == []


def test_who_was_overtaken_takes_nothing_away(tmp_path: Path) -> None:
    """Sweeping removes what this epoch and earlier ones left behind, those of before there were epochs too."""
    for left_behind in ("4711", "0123456789abcdef"):
        (tmp_path / f".draft-{left_behind}").mkdir()
    first = Fence.claim(tmp_path)
    assert not list(tmp_path.glob(".draft-*"))
    second = Fence.claim(tmp_path)
    draft = second.new_draft()
    first.sweep()
    assert draft.is_dir()
    assert [one.name for one in (tmp_path / EPOCHS_NAME).iterdir()] == ["2"]


def test_a_claim_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    """Where somebody has removed the claims, their owner stops, for it cannot know who came meanwhile."""
    fence = Fence.claim(tmp_path)
    (tmp_path / EPOCHS_NAME / "1").unlink()
    with pytest.raises(Fenced, match="is gone"):
        fence.check()


def test_a_claim_without_a_name_counts(tmp_path: Path) -> None:
    """A claim whose owner ended before it said its name fences as any other."""
    fence = Fence.claim(tmp_path)
    (tmp_path / EPOCHS_NAME / "2").touch()
    with pytest.raises(Fenced, match="has not said its name yet"):
        fence.check()
    assert Fence.claim(tmp_path).epoch == 3


class Killed(BaseException):
    """Stands for the end of a process; nothing in the code may catch it."""


class Actor(threading.Thread):
    """A follower's life: claim, take in what is there, add, add. `view` is what its own tables would say."""

    def __init__(self, name: str, directory: Path, ended: threading.Semaphore) -> None:
        super().__init__(name=name, daemon=True)
        self.view: list[str] = []
        self.error: BaseException | None = None
        self.over = False
        self.kill = False
        self.may_go = threading.Semaphore(0)
        self._directory = directory
        self._ended = ended

    def run(self) -> None:
        try:
            self.turn(wait_only=True)
            self._live()
        except (Fenced, Killed):
            pass
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test fails by it
            self.error = error
        self.over = True
        self._ended.release()

    def _live(self) -> None:
        fence = Fence.claim(self._directory)
        self.view = contents(self._directory)
        for added in range(2):
            content = f"{self.name}{added}"
            with fence.explaining():
                add(fence, content)
            self.view.append(content)

    def turn(self, *, wait_only: bool = False) -> None:
        """Let another one go on; returns when it is this one's turn again."""
        if not wait_only:
            self._ended.release()
        assert self.may_go.acquire(timeout=TURN_SECONDS)
        if self.kill:
            raise Killed


@contextmanager
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Before each call of the system an actor waits for its turn."""

    def stepping(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            actor = threading.current_thread()
            if isinstance(actor, Actor):
                actor.turn()
            return call(*arguments, **options)

        return instead

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(os, name, stepping(getattr(os, name)))
        patched.setattr(module, "sync_directory", lambda _: None)
        patched.setattr(os, "fsync", lambda _: None)
        yield


def interleave(directory: Path, chances: random.Random, *, actors: int) -> list[Actor]:
    """Run lives at once in an order that is drawn, one of which may be killed, and one stand still for long."""
    ended = threading.Semaphore(0)
    lives = [Actor("abc"[number], directory, ended) for number in range(actors)]
    for life in lives:
        life.start()
    weights = {life: chances.choice([1, 1, 100]) for life in lives}
    paused: Actor | None = None
    while left := [life for life in lives if not life.over]:
        if chances.random() < 0.05:
            paused = chances.choice([None, *left])
        ready = [life for life in left if life is not paused] or left
        life = chances.choices(ready, [weights[one] for one in ready])[0]
        life.kill = chances.random() < 0.002
        life.may_go.release()
        assert ended.acquire(timeout=TURN_SECONDS)
    return lives


@pytest.fixture
def histories(request: pytest.FixtureRequest) -> int:
    """How many interleavings: some in a run of all tests, many in `make faults`."""
    return 20_000 if request.config.getoption("markexpr") == "faults" else 200


@pytest.mark.faults
@pytest.mark.parametrize("actors", [2, 3])
def test_in_every_order_one_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, histories: int, actors: int
) -> None:
    """Whatever comes between any two steps, what each follower took for true is a beginning of what is there."""
    begin = random.randrange(2**32)
    shared = 0
    with step_by_step(monkeypatch):
        for seed in range(begin, begin + histories):
            print(f"seed {seed}")  # the last one shown is the one that failed
            directory = tmp_path / str(seed)
            lives = interleave(directory, random.Random(seed), actors=actors)
            assert [life.error for life in lives if life.error] == []
            found = contents(directory)
            for life in lives:
                assert life.view == found[: len(life.view)], life.name
            shared += len({content[0] for content in found}) > 1
    assert shared, "in no history did more than one follower add anything"
