"""A made-up fleet that posts to a gate on Kafka, whose policies are tightened and loosened while it posts.

    run = run_fleet(tmp_path, bootstrap=..., prefix=..., devices=45, schema_registry="own")
    run.posted      # what every topic must hold now, and nothing else

The gate has ended by then, so that its own account in `tidegate.control` is complete. `load.fleet` makes five of the
nine types of reports; every act adds one seeded report of every type to every tier, so that no topic is left out.
"""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ingest.clock import SystemClock
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from load.fleet.account import Account
from load.fleet.batches import LARGEST_BATCH, Batch, Message, Phase, make_phases, media_type_for
from load.fleet.connection import address_of
from load.fleet.delivery import Sender, deliver, require_tokens
from load.fleet.nouns import Fleet
from load.fleet.planted import planted_values
from load.fleet.scenario import make_fleet
from load.fleet.search import witnesses
from load.reports import ID_END, ID_START
from tests.end_to_end.gate_on_kafka import gate_on_kafka, post_everything, report_id
from tests.end_to_end.planted import Plants
from tests.running_gate import RunningGate, change_tier, edit

SEED = 20261121

T = TypeVar("T")

LOOSE, TIGHT, LOOSE_AGAIN = 1, 2, 3
"""Versions of each tier's policy. Under 2 none keeps `hardware_tier`, and `rows.attempts` of route_window."""

VERSIONS = (LOOSE, TIGHT, LOOSE_AGAIN)


@dataclass(frozen=True, slots=True)
class Posted:
    """A report that was answered with 202: its topic without prefix, the version of its tier's policy then, its id."""

    topic: str
    version: int
    report_id: bytes


@dataclass(frozen=True, slots=True)
class FleetRun:
    """What was posted to `gate`, which has ended. `policies` are the policy files by their version."""

    gate: RunningGate
    prefix: str
    fleet: Fleet
    policies: dict[int, Path]
    posted: Counter[Posted]
    account: Account
    plants: Plants

    def is_stored(self, told: Counter[T], found: Counter[T]) -> bool:
        """Whether all that got a 202 was found, and nothing else: what had to be sent again may be there twice."""
        again = found - told
        told_why = sum(number for (_, why), number in self.account.turned_away.items() if why != "in_doubt")
        may_be_again = max(self.account.resent - told_why, 0) * LARGEST_BATCH
        return found >= told and again.keys() <= told.keys() and again.total() <= may_be_again

    @property
    def planted(self) -> dict[str, str]:
        """What was sent and must be nowhere: of two devices of each sort, and of the seeded reports."""
        texts = {name: value for name, value in self.plants.values.items() if isinstance(value, str)}
        return planted_values(self.fleet.seed, witnesses(self.fleet.devices)) | texts


def run_fleet(folder: Path, *, bootstrap: str, prefix: str, devices: int, **settings: object) -> FleetRun:
    """A day of a fleet of so many devices, dealt to three acts with another policy each."""
    print(f"seed {SEED}")
    fleet = make_fleet(devices=devices, seed=SEED, now_ms=SystemClock().now_ms(), days=1)
    _put_manifest(folder / "data", fleet)
    with gate_on_kafka(folder, bootstrap=bootstrap, prefix=prefix, **settings) as gate:
        run = FleetRun(gate, prefix, fleet, {}, Counter(), Account(), Plants())
        phases = make_phases(fleet, gate.catalogue)
        for act, version in enumerate(VERSIONS):
            _put_in_force(run, version)
            _post(run, list(_part(phases, act)), version)
        assert gate.stop() == 0
    return run


def _put_manifest(data: Path, fleet: Fleet) -> None:
    data.mkdir(parents=True)
    with closing(OperatorDocuments(data / OPERATOR_FILE, SystemClock())) as documents:
        documents.put("manifest", dict(fleet.manifest), fleet.start_ms)


def _put_in_force(run: FleetRun, version: int) -> None:
    """The policies of that version, of every tier, and a copy of their files for whoever asks later."""
    if version != LOOSE:
        for loose in run.policies[LOOSE].glob("*.toml"):
            file = Path(shutil.copyfile(loose, run.gate.tiers / loose.name))
            change_tier(file, version=str(version))
            if version == TIGHT:
                edit(
                    file,
                    r'(?m)^fields = \["hardware_tier"\]\naction = "keep"',
                    'fields = ["hardware_tier"]\naction = "drop"',
                )
                edit(file, '"rows.attempts", ', "")
        run.gate.reload()
    run.policies[version] = shutil.copytree(run.gate.tiers, run.gate.folder / f"policies of version {version}")


def _part(phases: Sequence[Phase], act: int) -> Iterator[Batch]:
    """Every third message of each batch, so that each act has some of every tier, type and form."""
    for phase in phases:
        for batch in phase.batches:
            if messages := batch.messages[act :: len(VERSIONS)]:
                yield replace(batch, messages=messages, media_type=media_type_for(messages))


def _post(run: FleetRun, batches: Sequence[Batch], version: int) -> None:
    asyncio.run(_deliver(run, batches))
    for batch in batches:
        for message in batch.messages:
            if message.kind != "faulty":
                topic = f"tidegate.{batch.tier}.{run.gate.catalogue.latest[message.report].label}"
                run.posted[Posted(topic, version, _id_of(message))] += 1
    seeded = post_everything(run.gate, seed=version, plants=run.plants)
    run.posted.update(Posted(topic, version, report_id(topic, version)) for topic in seeded)


async def _deliver(run: FleetRun, batches: Sequence[Batch]) -> None:
    sender = Sender(address_of(run.gate.url), run.gate.tokens)
    await require_tokens(sender)
    await deliver(batches, sender, account=run.account, progress=lambda _: None)


def _id_of(message: Message) -> bytes:
    if message.typed:
        return bytes.fromhex(json.loads(message.content)["report_id"])
    return message.content[ID_START:ID_END]
