"""What answers are made from in this process: the rollups that are open now, the tokens, the operator's documents."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import duckdb

from aggregators.following.follow import Follower
from aggregators.publication.measure import Measure
from ingest.access.token_view import Credential, TokenView
from ingest.clock import Clock
from ingest.operator_documents import DocumentKind, DocumentVersion, OperatorDocuments


class Source:
    """As `aggregators.answering.answers.AnswerSource`; `notes` gives what belongs beside every answer now."""

    def __init__(
        self,
        follower: Follower,
        measures: Mapping[str, Measure],
        *,
        tokens: TokenView,
        documents: Path,
        clock: Clock,
        notes: Callable[[], Sequence[str]],
    ) -> None:
        self.measures = measures
        self.notes = notes
        self._follower = follower
        self._tokens = tokens
        self._documents = documents
        self._clock = clock

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor on the rollups; raises `RollupsUnavailable` where there is none now."""
        return self._follower.rollups.cursor()

    def check(self, token: bytes | None) -> Credential:
        """Who asks; raises `ingest.problems.Rejected`."""
        return self._tokens.check(token, self._clock.now_ms())

    def history(self, kind: DocumentKind) -> Sequence[DocumentVersion]:
        """Every version of the manifest or of the prices; raises `StateFileError`."""
        with closing(OperatorDocuments(self._documents, self._clock)) as documents:
            return documents.history(kind)

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return self._clock.now_ms()
