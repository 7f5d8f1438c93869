"""The demonstration itself: a fleet is made, posts, is answered, and everything is held to the truth.

    fleet -> stage -> posts -> publications -> answers against the truth
                                            -> rollups against the truth, and the search for identifiers

The last two need the product to have ended: one process at a time has the rollups' file.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from ingest.clock import SystemClock
from load.fleet.account import Account
from load.fleet.batches import Phase
from load.fleet.connection import address_of
from load.fleet.delivery import Sender
from load.fleet.planted import planted_values
from load.fleet.search import Place, Searched, database_texts, log_texts, parquet_texts, raw_files, search, witnesses
from load.fleet.trial import Trial, publish_everything
from tidegate.child_gate import ChildGate
from tidegate.cli.answers_client import AnswersClient
from tidegate.demo.outcome import Outcome
from tidegate.demo.stage import PUBLISH_ON_REQUEST, Stage
from tidegate.settings import LOG_DIRECTORY, ROLLUPS_DIRECTORY

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
    mismatches: list[str] = field(default_factory=list)
    searched: Searched = field(default_factory=lambda: Searched((), (), ()))
    began: float = field(default_factory=time.monotonic)

    def post_and_ask(self, ask: Callable[[ChildGate, "Run"], None]) -> None:
        """Post everything to the product, compare its answers with the truth, and let `ask` look around."""
        received_from = SystemClock().now_ms()
        with self.trial.adding_up(), self.stage.product(*PUBLISH_ON_REQUEST) as product:
            sender = Sender(address_of(product.url), self.stage.devices)
            publish = partial(publish_everything, product.url, self.stage.readers["operator"])
            with self.steps.posting(self.trial.phases) as told:
                asyncio.run(self.trial.post(sender, publish=publish, account=self.account, progress=told))
            self._wait_until_accounted(product, publish)
            with self.steps.step("Adding up the truth from the tasks"):
                self.trial.truths  # noqa: B018  # it is kept
            with self.steps.step("Holding the answers against it"):
                received = received_from, SystemClock().now_ms()
                self.mismatches += self.trial.answers_mismatches(product.url, self.stage.readers, received=received)
            ask(product, self)

    def _wait_until_accounted(self, product: ChildGate, publish: Callable[[], object]) -> None:
        """A gate tells its counts every second: the last ones come after the reports that they are about."""
        client = AnswersClient(product.url, self.stage.readers["auditor"])
        deadline = time.monotonic() + ACCOUNT_SECONDS
        while time.monotonic() < deadline:
            rows = client.document("/v1/answers/A3", [("by", "tier")])["rows"]
            if not any(row["unaccounted"] for row in rows):
                return
            time.sleep(1)
            publish()

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
        yield "log", Place(asyncio.run(log_texts(data / LOG_DIRECTORY)), CONTROL)
        tables = database_texts(data / ROLLUPS_DIRECTORY / ROLLUPS_FILE)
        yield "rollups", Place(tables, CONTROL)
        yield "published Parquet", Place(parquet_texts(data / ROLLUPS_DIRECTORY), CONTROL)
        for name, content in raw_files(data).items():
            yield name, Place(content, None)
        yield "log lines", Place(self.stage.lines.read_text(encoding="utf-8"), "answers_ready")
        yield from self.outputs.items()
