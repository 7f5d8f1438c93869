"""The comparisons see what they are there to see: one report too few, one task counted differently."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from load.offline.comparison import different, untrue
from load.offline.lives import FLEET, OFFLINE, ONLINE, Lived, read
from load.offline.plan import HOUR_MS, Part
from load.offline.replay import Followed, Order, as_it_came, follow, store, three_times_in_random_order
from schemas.catalogue import load_catalogue

if TYPE_CHECKING:
    from load.fleet.nouns import Fleet
    from load.offline.wire import Arrived

AFTER_MS = 72 * HOUR_MS


def _rollups(files: Sequence[Path], data: Path, order: Order, part: Part) -> Followed:
    data.mkdir()
    now_ms = part.plan.end_ms + AFTER_MS
    store(files, data, order, seed=1, now_ms=now_ms)
    return follow(data, now_ms=now_ms)


@pytest.fixture(scope="module")
def online(lived: Lived, part: Part, folder: Path) -> Path:
    """The rollups of the devices that were always online."""
    del lived
    data = folder / "online.rollups"
    _rollups([part.path(folder, ONLINE)], data, as_it_came, part)
    return data


def test_replayed_thrice_is_the_same(online: Path, part: Part, folder: Path) -> None:
    """Reports that come late, thrice and in random order add up to the same, bucket by bucket."""
    data = folder / "thrice.rollups"
    followed = _rollups([part.path(folder, OFFLINE)], data, three_times_in_random_order, part)
    wrong, cells = different(online, data)
    assert wrong == []
    assert cells > 1_000
    assert followed.duplicates == 2 * followed.applied > 0


def test_truth_is_told(online: Path, part: Part, folder: Path) -> None:
    """Every cell is what the plain truth says."""
    wrong, cells = untrue(online, [part.path(folder, FLEET)])
    assert wrong == []
    assert cells > 1_000


def test_missing_report_is_seen(online: Path, part: Part, folder: Path) -> None:
    """A single report that is not there is a difference."""
    arrived = cast("list[Arrived]", read(part.path(folder, OFFLINE)))
    marker = load_catalogue().latest["route_window"].message_prefix
    missing = next(one for one in arrived if one.message.startswith(marker))
    file = folder / "fewer"
    file.write_bytes(pickle.dumps([one for one in arrived if one is not missing]))
    data = folder / "fewer.rollups"
    _rollups([file], data, as_it_came, part)
    wrong, _ = different(online, data)
    assert wrong


def test_another_task_is_seen(online: Path, part: Part, folder: Path) -> None:
    """A single task that took longer than the devices said is a difference to the truth."""
    fleet = cast("Fleet", read(part.path(folder, FLEET)))
    first = next(task for task in fleet.tasks if task.latency_ms)
    slower = replace(first, tokens_in=first.tokens_in + 1_000_000)
    file = folder / "slower"
    file.write_bytes(pickle.dumps(replace(fleet, tasks=(slower, *(task for task in fleet.tasks if task is not first)))))
    wrong, _ = untrue(online, [file])
    assert any("tokens_in" in what for what in wrong)
