"""The simulation can fail: what is broken on purpose is found within a few hundred seeds, by the right invariant."""

import pytest

from ingest.log.kafka.partition import Call
from load.simulation import disk
from load.simulation.check import Broken
from load.simulation.parts import Parts
from load.simulation.run import run_seed
from tests.load.simulation import broken_parts as broken

WITHIN_SEEDS = 300

BROKEN = [
    pytest.param(Parts(writer=broken.SyncsLater), Broken.LOST, id="the log answers before it synced"),
    pytest.param(Parts(outermost=broken.AnswersAtOnce), Broken.LOST, id="the log answers before it has anything"),
    pytest.param(Parts(producer=broken.DoesNotWait), Broken.LOST, id="the producer does not wait for acks"),
    pytest.param(Parts(gate=broken.SaysYesInDoubt), Broken.LOST, id="the gate answers 202 in doubt"),
    pytest.param(Parts(rollups=broken.OffsetsFirst), Broken.LOST, id="offsets are committed before their rows"),
    pytest.param(Parts(rollups=broken.RowsFirst), Broken.TWICE, id="rows are committed before their offsets"),
    pytest.param(Parts(rollups=broken.CountsAgain), Broken.TWICE, id="nobody remembers what was counted"),
    pytest.param(Parts(producer=broken.NotIdempotent), Broken.COPIES, id="the producer is not idempotent"),
    pytest.param(Parts(producer=broken.RefusesWhatItSent), Broken.REFUSED, id="the producer refuses what it sent"),
    pytest.param(Parts(outermost=broken.RefusesInDoubt), Broken.REFUSED, id="the log refuses where it is in doubt"),
    pytest.param(Parts(outermost=broken.NamesDevices), Broken.LEAKED, id="a header names the device"),
    pytest.param(Parts(gate=broken.ForgetsDoubt), Broken.LEDGER, id="what is in doubt is not counted"),
    pytest.param(Parts(series=broken.GoesOnUnconfirmed), Broken.LEDGER, id="a series goes on unconfirmed"),
    pytest.param(Parts(series=broken.TakesNothingBack), Broken.LEDGER, id="a count that was not stored is forgotten"),
    pytest.param(Parts(series=broken.FallsBack), Broken.LEDGER, id="a second try ends before the first"),
    pytest.param(Parts(gate=broken.KeepsTickets), Broken.LEFT, id="tickets are kept"),
    pytest.param(Parts(limits=broken.PATIENT), Broken.LATE, id="an append has no deadline"),
]


BROKEN_CODE = [
    pytest.param(disk, "GroupCommit", broken.RefusesWhatItWrites, Broken.REFUSED, id="a late commit is called refused"),
    pytest.param(Call, "expire", broken.refuse_what_is_at_large, Broken.REFUSED, id="a late batch is called refused"),
    pytest.param(Call, "stored", broken.confirm_the_first_part, Broken.LOST, id="one partition answers for all"),
]


def is_found(expected: Broken, parts: Parts) -> bool:
    """Whether one of a few hundred seeds breaks the invariant."""
    return any(
        expected in {finding.broken for finding in run_seed(seed, parts=parts).findings} for seed in range(WITHIN_SEEDS)
    )


@pytest.mark.parametrize(("parts", "expected"), BROKEN)
def test_broken_parts_are_found(parts: Parts, expected: Broken) -> None:
    """A site with one broken part is found out within a few hundred seeds, by the invariant that it breaks."""
    assert is_found(expected, parts)


@pytest.mark.parametrize(("owner", "name", "replacement", "expected"), BROKEN_CODE)
def test_broken_code_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, replacement: object, expected: Broken
) -> None:
    """The same, where what is broken is the product's own code."""
    monkeypatch.setattr(owner, name, replacement)
    assert is_found(expected, Parts())
