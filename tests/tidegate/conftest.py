"""What every test of a command starts from: no settings of the machine, and a page of known width."""

import os

import pytest


@pytest.fixture(autouse=True)
def known_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TIDEGATE_ variable of the machine reaches a command, and lines are 120 columns long."""
    for name in [name for name in os.environ if name.upper().startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")
