"""A trial is fair: in whichever hours the product took the posts, right is found right, and one wrong number wrong."""

import json
from dataclasses import replace
from pathlib import Path

from load.fleet.batches import Message, make_phases
from load.fleet.scenario import make_fleet
from load.fleet.trial import Trial
from load.fleet.truth_cells import CubeName
from load.fleet.windows import reports
from load.reports import ID_END, ID_START
from tests.load.fleet.conftest import NOW
from tests.load.fleet.product import CATALOGUE, TOKENS, Product

HOUR_MS = 3_600_000

CELLS = CubeName("R1", ("route",), "hour")


class Clocked(Product):
    """The product, as many hours after the fleet's time as a test says."""

    hours = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.hours * HOUR_MS


def id_of(message: Message) -> bytes:
    """The id of the report in a message."""
    if message.typed:
        return bytes.fromhex(json.loads(message.content)["report_id"])
    return message.content[ID_START:ID_END]


def after_three_hours(trial: Trial, directory: Path) -> Clocked:
    """The product after it took half of the posts of each phase before a full hour, and the other half after it."""
    product = Clocked(trial.fleet, directory)
    _, again, late = trial.phases
    copied = {id_of(message) for batch in again.batches for message in batch.messages}
    everything = list(reports(trial.fleet))
    in_time = [one for one in everything if (one.device, one.report, one.start) not in late.windows]
    after = [one for one in everything if one.values["report_id"] in copied]
    after += [one for one in everything if (one.device, one.report, one.start) in late.windows]
    for phase in (in_time, after):
        product.take(phase[::2])
        product.hours += 1
        product.take(phase[1::2])
        product.publish()
    return product


def test_posts_over_full_hours(tmp_path: Path) -> None:
    """Answers and rollups equal the truth although each phase was taken in two hours; a wrong number is named."""
    fleet = make_fleet(devices=60, days=1, seed=3, now_ms=NOW)
    trial = Trial(fleet, make_phases(fleet, CATALOGUE))
    product = after_three_hours(trial, tmp_path)
    with product.serving() as url:
        received = fleet.end_ms, product.now_ms() + 1
        complete_to = [fleet.end_ms + hours * HOUR_MS for hours in (1, 2)]
        assert trial.answers_mismatches(url, TOKENS, received=received, complete_to=complete_to) == []
    product.close()
    file = tmp_path / "rollups.duckdb"
    assert trial.rollups_mismatches(file) == []
    key, cell = next(iter(trial.truths.whole[CELLS].items()))
    tasks = cell.values["tasks"]
    trial.truths.whole[CELLS][key] = replace(cell, values={"tasks": tasks + 1})
    [mismatch] = trial.rollups_mismatches(file)
    assert mismatch.startswith("R1 [route] hour (")
    assert mismatch.endswith(f"tasks is {tasks}, expected {tasks + 1}")
