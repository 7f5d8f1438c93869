"""The half that answers: the follower, its rollups, the publications, and HTTP around them.

Nothing here stops a gate in the same process: a follower that stops is told in the log, by `/readyz/answers` and beside
every answer.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from aggregators.answering.api import answers_router
from aggregators.answering.operations_api import operations_router, standing
from aggregators.fence import Fenced
from aggregators.following.follow import Follower
from aggregators.following.standing import State, Why
from aggregators.publication.measures import load_measures
from aggregators.publication.publications import Publications, Rulebook
from aggregators.publication.publish import PublicationDamaged
from aggregators.repair.rebuild import PUBLISHED_NAME, make_anew, open_or_rebuild
from aggregators.rollups.rollups import Rollups, RollupsUnavailable
from aggregators.sealing.seal_files import SealDamaged
from ingest.access.token_view import TokenView
from ingest.clock import Clock
from ingest.http.service import Readiness, readiness_response
from ingest.log import LogReader
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from ingest.telemetry.sources import AnswersSources
from tidegate.serving import CannotAnswer
from tidegate.serving.answer_source import Source
from tidegate.serving.background import Background
from tidegate.serving.policies import Policies
from tidegate.settings import ROLLUPS_DIRECTORY, Settings


class AnswersHalf:
    """Follows `reader`, which it closes, and answers. Raises `CannotAnswer`, or `ContractError` for a measure's file.

    Construction blocks until the rollups are open: where their file is missing, until the seals are loaded.
    """

    def __init__(
        self, settings: Settings, policies: Policies, reader: LogReader, *, tokens: TokenView, clock: Clock
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tokens = tokens
        self._measures = load_measures()
        directory = settings.data / ROLLUPS_DIRECTORY
        rollups = _opened(directory, policies)
        self._follower = Follower(
            reader,
            rollups,
            clock=clock,
            tiers=lambda: policies.catalogue.tiers,
            make_anew=lambda rollups, chain: make_anew(rollups, chain, tiers=policies.catalogue.tiers),
        )
        self._documents = settings.data / OPERATOR_FILE
        rulebook = Rulebook(
            measures=self._measures,
            tiers=lambda: policies.catalogue.tiers,
            documents=self._documents,
            directory=directory / PUBLISHED_NAME,
        )
        self._publications = Publications(
            self._follower, rulebook, clock=clock, settle_ms=round(settings.settle_seconds * 1000)
        )
        self._publications.take_up(rollups)
        self._following = Background()
        self._others = Background()

    def routers(self) -> Sequence[APIRouter]:
        """Everything that may be asked of this half."""
        source = Source(
            self._follower,
            self._measures,
            tokens=self._tokens,
            documents=self._documents,
            clock=self._clock,
            notes=self._notes,
        )
        router = APIRouter()

        @router.get("/readyz/answers", summary="Whether what is answered is up to date")
        async def readyz() -> JSONResponse:
            return readiness_response(self.readiness())

        operations = operations_router(self._follower, self._publications, check=source.check, clock=self._clock)
        return [router, operations, answers_router(source)]

    def sources(self) -> AnswersSources:
        """Where the metrics find the numbers of the follower and the publications."""
        return AnswersSources(
            lag=lambda: self._follower.status().lag,
            reports=self._reports,
            states=lambda: {state.value: int(state is self._follower.status().state) for state in State},
            whys=lambda: {why.value: int(why is self._follower.status().why) for why in Why},
            publication_age=self._publication_age,
        )

    def readiness(self) -> Readiness:
        """Ready while what was appended `behind_seconds` ago is applied."""
        status = self._follower.status()
        running = status.state in (State.FOLLOWING, State.CATCHING_UP)
        ready = running and not self._behind()
        # Not the detail, which may name a path of this machine: nobody shows a token here.
        shown = standing(status)
        return Readiness(ready, {name: shown[name] for name in ("state", "why", "lag")})

    async def start(self) -> None:
        """Begin to follow the log and to publish."""
        self._following.begin(self._follower.run())
        if self._settings.publish_every_seconds:
            self._others.begin(self._publications.run(every=self._settings.publish_every_seconds))

    def started(self, root: str) -> dict[str, Any]:
        """Say that questions are answered at `root`; returns what the line on stdout has of it."""
        log(Event.ANSWERS_READY, measures=len(self._measures))
        return {"answers": f"{root}/v1/answers"}

    def stop_soon(self) -> None:
        """Let the follower end once its batch is applied."""
        self._follower.stop()

    async def finish(self) -> None:
        """End the follower, and what is under way: what takes long is interrupted, and made again after the start."""
        self._follower.stop()
        await asyncio.gather(self._others.cancel(), self._following.done(), self._follower.end_work())

    async def close(self) -> None:
        """Close rollups and log; queries that are still running are interrupted."""
        await self._follower.close()
        log(Event.ANSWERS_STOPPED)

    def _behind(self) -> bool:
        caught_up_at = self._follower.status().caught_up_at
        return caught_up_at is None or self._clock.now_ms() - caught_up_at > self._settings.behind_seconds * 1000

    def _notes(self) -> Sequence[str]:
        """What belongs beside every answer now."""
        status = self._follower.status()
        if status.state in (State.STOPPED, State.STORAGE_FULL):
            return [f"The log is not read on, so nothing new is published: {status.detail}"]
        if self._behind():
            return ["The log is not read up to now: what was posted last is not published yet."]
        return []

    def _reports(self) -> dict[str, int]:
        status = self._follower.status()
        return {"applied": status.applied, "duplicate": status.duplicates, "parked": status.parked}

    def _publication_age(self) -> float | None:
        newest = self._publications.newest
        return None if newest is None else max(0.0, (self._clock.now_ms() - newest.at) / 1000)


def _opened(directory: Path, policies: Policies) -> Rollups:
    try:
        return open_or_rebuild(directory, tiers=policies.catalogue.tiers)
    except (RollupsUnavailable, SealDamaged, PublicationDamaged, Fenced, OSError) as error:
        raise CannotAnswer(f"{error}\nUntil then reports can be taken with --only ingest.") from None
