"""One small fleet for every test that only looks at it; the seed is in the fleet, so a failure can be repeated."""

import pytest

from load.fleet.nouns import Fleet
from load.fleet.scenario import make_fleet
from load.fleet.windows import DeviceReport, reports

NOW = 1_795_000_000_000
"""2026-11-18, within an hour, long after the days on which contractors' fields begin to be refused."""


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """A fleet of 150 devices over three days."""
    return make_fleet(devices=150, seed=11, now_ms=NOW)


@pytest.fixture(scope="session")
def posted(fleet: Fleet) -> list[DeviceReport]:
    """Every report of the fleet, in the order in which its devices make them."""
    return list(reports(fleet))
