"""Devices that live their days twice on the virtual clock."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from load.offline.lives import FLEET, OFFLINE, ONLINE, Lived, read
from load.offline.plan import Part
from load.offline.wire import ID, Arrived

if TYPE_CHECKING:
    from load.fleet.nouns import Fleet


def _arrived(part: Part, folder: Path, name: str) -> list[Arrived]:
    return cast("list[Arrived]", read(part.path(folder, name)))


def test_nothing_is_wrong(lived: Lived) -> None:
    """No identifier left its place, no queue lost anything, no error was counted, and everything arrived."""
    assert lived.wrong == []


@pytest.mark.usefixtures("lived")
def test_offline_reports_come_late_and_are_as_many(part: Part, folder: Path) -> None:
    """A fleet that is offline sends as many reports as one that is online, and some of them days later."""
    offline, online = (_arrived(part, folder, name) for name in (OFFLINE, ONLINE))
    assert len(offline) == len(online) > 0
    assert sum(one.at_ms for one in offline) - sum(one.at_ms for one in online) > 86_400_000


@pytest.mark.usefixtures("lived")
def test_every_report_is_recorded_once(part: Part, folder: Path) -> None:
    """What was sent again for a lost answer is one report."""
    ids = [one.message[ID] for one in _arrived(part, folder, OFFLINE)]
    assert len(ids) == len(set(ids))


def test_devices_met_what_they_should(lived: Lived) -> None:
    """Devices were offline, tried in vain, and some were searched in every form."""
    assert lived.counts["days offline"] > 0
    assert lived.counts["requests without a network"] > 0
    assert lived.counts["searched in all forms"] > 0


@pytest.mark.usefixtures("lived")
def test_directories_are_gone(part: Part, folder: Path) -> None:
    """Nothing of a device stays but what arrived and what it did."""
    assert {file.name for file in folder.glob(f"*.{part.first}")} >= {
        part.path(folder, name).name for name in (OFFLINE, ONLINE, FLEET)
    }
    assert not (folder / f"devices.{part.first}").exists()


@pytest.mark.usefixtures("lived")
def test_whole_fleet_has_numbers_of_its_own(part: Part, folder: Path) -> None:
    """The fleet of a part has the numbers that its devices have in the whole."""
    fleet = cast("Fleet", read(part.path(folder, FLEET)))
    assert [device.index for device in fleet.devices] == list(range(part.first, part.first + part.devices))
    assert {task.device for task in fleet.tasks} <= {device.index for device in fleet.devices}
