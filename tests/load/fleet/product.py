"""The product around a made-up fleet, without sockets up to the answers: strip, rollups, publication, then real HTTP.

product = Product(fleet, tmp_path)
product.take(reports)        # as one batch of the log
product.publish()
with product.serving() as url: ...
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import uvicorn
from fastapi import FastAPI

from aggregators.answering.api import answers_router
from aggregators.fence import Fence
from aggregators.publication.measure import Measure
from aggregators.publication.measures import load_measures
from aggregators.publication.publish import publish
from aggregators.rollups.rollups import Rollups
from aggregators.rollups.stripped import StrippedRecords
from ingest.access.token_view import Credential
from ingest.json_reports import Message
from ingest.operator_documents import DocumentKind, DocumentVersion
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from ingest.records import to_entry
from ingest.report import Partition, StoredEntry
from load.fleet.nouns import Fleet
from load.fleet.windows import DeviceReport
from load.reports import encode
from schemas.catalogue import load_catalogue
from schemas.manifest import Manifest

CATALOGUE = load_catalogue()

TOKENS = {"analyst": "an-analyst", "auditor": "an-auditor"}

PATIENCE_SECONDS = 30.0


class Product:
    """Rollups in `directory`, filled from a fleet's reports as a gate would strip them."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self._fleet = fleet
        self._directory = directory
        self._rules = Rules(CATALOGUE, Manifest.model_validate(fleet.manifest).names(), "here", lambda *_: b"k" * 32)
        self._records = StrippedRecords()
        self._records.learn(
            {plan.schema.fingerprint: plan.schema.document for plan in CATALOGUE.plans.values()}
            | {plan.output_fingerprint: plan.output for plan in CATALOGUE.plans.values()}
        )
        self._rollups = Rollups.open(directory)

    def close(self) -> None:
        self._rollups.close()

    def now_ms(self) -> int:
        return self._fleet.end_ms

    def take(self, reports: Iterable[DeviceReport]) -> None:
        """Strip and count these reports."""
        offsets = self._rollups.offsets()
        entries: dict[Partition, list[StoredEntry]] = {}
        for report in reports:
            message = Message(encode(CATALOGUE.latest[report.report], report.values))
            submission = Submission(report.tier, report.report, AVRO, "", b"")
            stripped = strip_message(message, submission, self._rules, now=self.now_ms())
            entry = to_entry(stripped, now=self.now_ms())
            partition = Partition(entry.topic, 0)
            stored = entries.setdefault(partition, [])
            stored.append(StoredEntry(offsets.get(partition, -1) + 1 + len(stored), entry))
        self._rollups.apply(list(entries.items()), self._records)

    def publish(self) -> None:
        """Publish everything that was taken."""
        with closing(self._rollups.cursor()) as cursor:
            publish(
                cursor,
                load_measures(),
                tiers=CATALOGUE.tiers,
                documents=self,
                fence=Fence.claim(self._directory / "published"),
                at=self.now_ms(),
                closed_to=None,
                complete_to=self.now_ms(),
            )

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own to the rollups."""
        with closing(self._rollups.cursor()) as cursor:
            yield cursor

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The answers on a free port of the loopback; yields the URL."""
        app = FastAPI()
        app.include_router(answers_router(self))
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
        started = threading.Event()
        thread = threading.Thread(target=server.run, daemon=True)
        server_startup = server.startup

        async def startup(sockets: list[object] | None = None) -> None:
            await server_startup(sockets)  # type: ignore[arg-type]
            started.set()

        server.startup = startup  # type: ignore[method-assign,assignment]
        thread.start()
        assert started.wait(PATIENCE_SECONDS)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)

    # What `AnswerSource` and `Documents` ask for.

    @property
    def measures(self) -> Mapping[str, Measure]:
        return load_measures()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._rollups.cursor()

    def check(self, token: bytes | None) -> Credential:
        [role] = [role for role, text in TOKENS.items() if text.encode() == token]
        return Credential("1", "*", "analyst" if role == "analyst" else "auditor")

    def notes(self) -> Sequence[str]:
        return ()

    def history(self, kind: DocumentKind) -> Sequence[DocumentVersion]:
        document = self._fleet.manifest if kind == "manifest" else self._fleet.prices
        return [DocumentVersion(kind=kind, number=1, recorded=0, in_force=0, document=document)]
