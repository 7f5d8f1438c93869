"""A trial of the whole product: a made-up fleet posts, the product publishes twice, and both are held to the truth.

    trial = make_trial(fleet)
    with trial.adding_up():                                     # the truth, while the fleet posts
        await trial.post(sender, publish=..., account=account, progress=...)
        trial.answers_mismatches(url, tokens, received=..., complete_to=...)   # while `tidegate serve` runs
    trial.rollups_mismatches(file)                              # after it has ended

The first publication comes when everything but the late reports has been posted, the second after those: so cells are
tried that wait for more devices, and not only those that nothing is added to.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

import duckdb

from load.fleet.account import Account
from load.fleet.answers_verdict import answers_mismatches
from load.fleet.asking import Asked
from load.fleet.batches import Phase, make_phases
from load.fleet.delivery import Sender, deliver, require_tokens
from load.fleet.meanwhile import meanwhile
from load.fleet.nouns import Fleet
from load.fleet.reference_suppression import publish as suppressed
from load.fleet.truth import all_arrived, phases
from load.fleet.truth_cells import Truth
from load.fleet.truth_policy import manifest_names, policies
from load.fleet.truth_remarks import Receipts, Remarks, receipts_truth, remarks_truth
from load.fleet.verdict import internal_mismatches
from load.fleet.windows import reports
from load.reports import ID_END, ID_START
from schemas.catalogue import load_catalogue

LATE = "late"
PUBLISH_SECONDS = 300.0
"""How long a publication may take, the rest of the log included, which is applied first."""

Publish = Callable[[], object]
Progress = Callable[[str, int], None]
"""Told the phase, and how many more of its messages came to an end."""


def make_trial(fleet: Fleet) -> "Trial":
    """Encodes all that the fleet posts; takes seconds."""
    return Trial(fleet, make_phases(fleet, load_catalogue()))


@dataclass(frozen=True, slots=True)
class Truths:
    """What holds before the late reports and after them, and what was taken off and received in all."""

    on_time: Truth
    whole: Truth
    remarks: Remarks
    receipts: dict[str, Receipts]


@dataclass
class Trial:
    """A fleet, and all that it posts in the order of its phases."""

    fleet: Fleet
    phases: tuple[Phase, ...] = field(repr=False)
    _added_up: Callable[[], Truths] | None = field(default=None, repr=False)

    @contextmanager
    def adding_up(self) -> Iterator[None]:
        """While this lasts the truth is added up in a process of its own, for whoever asks for it within."""
        with meanwhile(self._add_up) as result:
            self._added_up = result
            try:
                yield
            finally:
                self._added_up = None

    async def post(self, sender: Sender, *, publish: Publish, account: Account, progress: Progress) -> None:
        """Post every phase; `publish` is called before the late reports and after them."""
        await require_tokens(sender)
        for phase in self.phases:
            if phase.name == LATE:
                await asyncio.to_thread(publish)
            await deliver(phase.batches, sender, account=account, progress=partial(progress, phase.name))
        await asyncio.to_thread(publish)

    @property
    def k(self) -> dict[str, int]:
        """The least number of devices behind a published number, by tier."""
        return {name: policy.k for name, policy in policies().items()}

    @cached_property
    def truths(self) -> Truths:
        """The true answers, by sums over the tasks; takes seconds, or what is left of them where it is `adding_up`."""
        return self._add_up() if self._added_up is None else self._added_up()

    def _add_up(self) -> Truths:
        late = next(phase for phase in self.phases if phase.name == LATE).windows
        names = manifest_names(self.fleet.manifest)
        on_time, whole = phases(self.fleet, [lambda *window: window not in late, all_arrived])
        return Truths(
            on_time=on_time,
            whole=whole,
            remarks=remarks_truth(((one.tier, one.report, one.values) for one in reports(self.fleet)), names),
            receipts=receipts_truth(self._posted()),
        )

    def answers_mismatches(
        self, url: str, tokens: Mapping[str, str], *, received: tuple[int, int], complete_to: Sequence[int]
    ) -> list[str]:
        """How the answers at `url` differ from what may be published of the truth; `tokens` by role.

        `complete_to` is what each publication said, in order: the first is that before the late reports.
        """
        truths, k = self.truths, self.k
        published = [truths.on_time, *(truths.whole for _ in complete_to[1:])]
        return answers_mismatches(
            Asked(
                url=url,
                tokens=tokens,
                windows=(self.fleet.start_ms, self.fleet.end_ms),
                received=received,
                complete_to=complete_to[-1],
                published=suppressed(published, k, complete_to=complete_to),
                remarks=truths.remarks,
                receipts=truths.receipts,
                k=k,
                currency=self.fleet.prices["currency"],
            )
        )

    def rollups_mismatches(self, file: Path) -> list[str]:
        """How the rollups in a DuckDB file differ from the truth, before anything is withheld."""
        with duckdb.connect(str(file), read_only=True) as connection:
            return internal_mismatches(
                connection, self.truths.whole, remarks=self.truths.remarks, receipts=self.truths.receipts
            )

    def _posted(self) -> Iterator[tuple[str, str, bytes]]:
        """(tier, report, report id) of each message that has to be taken, copies included."""
        for phase in self.phases:
            for batch in phase.batches:
                for message in batch.messages:
                    if message.kind != "faulty":
                        yield batch.tier, message.report, _id(message.content, typed=message.typed)


def _id(content: bytes, *, typed: bool) -> bytes:
    return bytes.fromhex(json.loads(content)["report_id"]) if typed else content[ID_START:ID_END]


def publish_everything(url: str, token: str) -> int:
    """Ask `tidegate serve` to apply its log and publish all of it, the open hour included; raises OSError.

    Returns up to when the publication is complete, in milliseconds since the epoch.
    """
    request = urllib.request.Request(  # noqa: S310  # the URL is that of the product on trial
        f"{url}/v1/publications",
        data=b'{"include_open": true}',
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=PUBLISH_SECONDS) as response:  # noqa: S310  # as above
        document = json.load(response)
    return int(datetime.fromisoformat(document["complete_to"]).timestamp() * 1000)
