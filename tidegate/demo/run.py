"""The demonstration itself: a fleet is made, posts, is answered, and everything is held to the truth.

    fleet -> stage -> posts -> publications -> answers against the truth
                                            -> rollups against the truth, and the search for identifiers

The last two need the product to have ended: one process at a time has the rollups' file.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Protocol

from click import ClickException

from ingest.clock import SystemClock
from load.fleet.account import Account
from load.fleet.batches import Phase
from load.fleet.connection import NoAnswer, address_of
from load.fleet.delivery import Sender, TokenRefused
from load.fleet.planted import planted_values
from load.fleet.search import Place, Searched, database_texts, log_texts, parquet_texts, raw_files, search, witnesses
from load.fleet.trial import Trial, publish_everything
from load.server_process import ServerFailed, last_words
from tidegate.child_gate import ChildGate, signals
from tidegate.cli.answers_client import AnswersClient
from tidegate.demo.outcome import Outcome
from tidegate.demo.stage import PUBLISH_ON_REQUEST, Stage
from tidegate.settings import ROLLUPS_DIRECTORY

ROLLUPS_FILE = "rollups.duckdb"
CONTROL = "vendor-large"
"""A model of the fleet's manifest, which has every right to be wherever models are told apart."""

ACCOUNT_SECONDS = 15.0


class Steps(Protocol):
    """Shows how far the demonstration is."""

    def step(self, told: str) -> AbstractContextManager[None]:
        """Something that takes a while."""
        ...

    def posting(self, phases: tuple[Phase, ...]) -> AbstractContextManager[Callable[[str, int], None]]:
        """The posts: to be told the phase, and how many more of its messages came to an end."""
        ...


@dataclass
class Run:
    """One run on a stage. `outputs` is whatever the product said to anyone: it is searched as well."""

    trial: Trial
    stage: Stage
    steps: Steps
    account: Account = field(default_factory=Account)
    outputs: dict[str, Place] = field(default_factory=dict)
    complete_to: list[int] = field(default_factory=list)
    """Of each publication, in order."""
    mismatches: list[str] = field(default_factory=list)
    searched: Searched = field(default_factory=lambda: Searched((), (), ()))
    began: float = field(default_factory=time.monotonic)

    def post_and_ask(self, ask: Callable[[ChildGate, "Run"], None]) -> None:
        """Post everything to the product, compare its answers with the truth, and let `ask` look around."""
        received_from = SystemClock().now_ms()
        with self.trial.adding_up(), self.stage.product(*PUBLISH_ON_REQUEST) as product, self._told_why(product):
            asyncio.run(self._post(product))
            self._wait_until_accounted(product)
            with self.steps.step("Adding up the truth from the tasks"):
                self.trial.truths  # noqa: B018  # it is kept
            with self.steps.step("Holding the answers against it"):
                received = received_from, SystemClock().now_ms()
                self.mismatches += self.trial.answers_mismatches(
                    product.url, self.stage.readers, received=received, complete_to=self.complete_to
                )
            ask(product, self)

    async def _post(self, product: ChildGate) -> None:
        """Post all of it; a product that ends is not waited for. Raises OSError, KeyboardInterrupt."""
        loop, sender = asyncio.get_running_loop(), Sender(address_of(product.url), self.stage.devices)
        publish = partial(self._publish, product)
        with self.steps.posting(self.trial.phases) as told:
            posting = loop.create_task(self.trial.post(sender, publish=publish, account=self.account, progress=told))
            # An exception out of a signal handler would end whatever piece of the event loop it happens to meet.
            with signals(lambda *_: (loop.call_soon_threadsafe(posting.cancel), None)[1]):
                while not posting.done():
                    await asyncio.wait([posting], timeout=1)
                    if product.process.poll() is not None:
                        posting.cancel()
        if product.process.poll() is not None:
            raise BrokenPipeError
        if posting.cancelled():
            raise KeyboardInterrupt
        posting.result()

    def _publish(self, product: ChildGate) -> None:
        self.complete_to.append(publish_everything(product.url, self.stage.readers["operator"]))

    @contextmanager
    def _told_why(self, product: ChildGate) -> Iterator[None]:
        """Where the product ended by itself, whatever failed for it is told as that; raises `ServerFailed`."""
        try:
            yield
        except (OSError, HTTPException, ClickException, NoAnswer, TokenRefused) as error:
            with suppress(subprocess.TimeoutExpired):
                product.process.wait(timeout=1)  # a connection breaks a moment before the process is gone
            if product.process.poll() is None:
                raise ServerFailed(f"it did not answer as it should: {type(error).__name__}") from error
            raise ServerFailed(f"it ended by itself:\n{last_words(self.stage.lines)}") from None

    def _wait_until_accounted(self, product: ChildGate) -> None:
        """A gate tells its counts every second: the last ones come after the reports that they are about."""
        client = AnswersClient(product.url, self.stage.readers["auditor"])
        deadline = time.monotonic() + ACCOUNT_SECONDS
        while time.monotonic() < deadline:
            rows = client.document("/v1/answers/A3", [("by", "tier")])["rows"]
            if not any(row["unaccounted"] for row in rows):
                return
            time.sleep(1)
            self._publish(product)

    def look_inside(self) -> None:
        """Once the product has ended: compare its rollups, and search everything that it left."""
        with self.steps.step("Holding the rollups against the truth"):
            file = self.stage.data / ROLLUPS_DIRECTORY / ROLLUPS_FILE
            self.mismatches += self.trial.rollups_mismatches(file)
        with self.steps.step("Searching for identifiers"):
            fleet = self.trial.fleet
            self.searched = search(dict(self._places()), planted_values(fleet.seed, witnesses(fleet.devices)))

    def outcome(self) -> Outcome:
        """What was found."""
        fleet = self.trial.fleet
        return Outcome(
            account=self.account,
            devices=len(fleet.devices),
            tasks=len(fleet.tasks),
            seed=fleet.seed,
            mismatches=tuple(self.mismatches),
            searched=self.searched,
            seconds=time.monotonic() - self.began,
        )

    def _places(self) -> Iterator[tuple[str, Place]]:
        data = self.stage.data
        yield "log", Place(asyncio.run(log_texts(self.stage.log.reader())), CONTROL)
        tables = database_texts(data / ROLLUPS_DIRECTORY / ROLLUPS_FILE)
        yield "rollups", Place(tables, CONTROL)
        yield "published Parquet", Place(parquet_texts(data / ROLLUPS_DIRECTORY), CONTROL)
        for name, content in {**raw_files(data), **self.stage.log.files()}.items():
            yield name, Place(content, None)
        yield "log lines", Place(self.stage.lines.read_text(encoding="utf-8"), "answers_ready")
        yield from self.outputs.items()
