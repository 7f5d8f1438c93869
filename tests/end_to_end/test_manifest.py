"""The operator's manifest and a running gate: names are let through from the moment the manifest says so."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingest.operator_documents import FILE_NAME
from tests.end_to_end.reports import Reports
from tests.running_gate import RunningGate, eventually, refused_start, running_gate, tier_files
from tidegate.cli import main

MANIFEST = """\
regions = ["eu-west"]

[[models]]
name = "assistant-small"
versions = [{version = "2.1"}]
"""


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RunningGate]:
    """A gate without a manifest."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as running:
        yield running


def put(gate: RunningGate, text: str) -> None:
    """Put a manifest by the command, and wait until the gate says that it is in force."""
    file = gate.folder / "manifest.toml"
    file.write_text(text, encoding="utf-8")
    before = len(gate.events("manifest_in_force"))
    result = CliRunner().invoke(main, ["manifest", "put", str(file), "--data", str(gate.data)])
    assert result.exit_code == 0, result.stderr
    eventually(lambda: len(gate.events("manifest_in_force")) > before, "the gate took notice of the manifest")


def stored_names(gate: RunningGate, *, tier: str = "managed", **row: Any) -> tuple[Any, ...]:
    """Region, model and version of a report as the log has them, after it was posted with these names."""
    reports = Reports(gate.catalogue)
    report = reports.report(region="eu-west", report_id=secrets.token_bytes(16))
    [kept, *_] = report["rows"]
    named = kept | {"model": "assistant-small", "model_version": "2.1"} | row
    answer = gate.post(tier, "route_window", reports.message(**report | {"rows": [named]}))
    assert answer.status == 202, answer.raw
    found = [gate.decoded(entry) for entry in gate.entries() if entry.key == report["report_id"]]
    assert len(found) == 1
    [stored] = found[0]["rows"]
    return found[0]["region"], stored["model"], stored["model_version"]


@pytest.mark.parametrize("tier", ["managed", "byod", "contractor"])
def test_a_name_is_other_until_the_manifest_names_it(gate: RunningGate, tier: str) -> None:
    """Without a restart, names that read `other` are stored as they are once a manifest has them."""
    assert stored_names(gate, tier=tier) == ("other", "other", "other")
    put(gate, MANIFEST)
    assert stored_names(gate, tier=tier) == ("eu-west", "assistant-small", "2.1")
    assert stored_names(gate, tier=tier, model="assistant-smal") == ("eu-west", "other", "2.1")


def test_a_name_that_is_taken_away_is_other_again(gate: RunningGate) -> None:
    """A manifest replaces the one before as a whole, and what it does not name any more becomes `other`."""
    put(gate, MANIFEST)
    put(gate, 'regions = ["eu-north"]')
    assert stored_names(gate) == ("other", "other", "other")


def test_what_became_other_is_counted(gate: RunningGate) -> None:
    """The metric of remarks has each name that became `other`, and stops counting once it is named."""
    coarsened = {"tier": "managed", "report": "route_window", "field": "rows.model", "action": "coarsen"}

    def counted() -> float:
        return sum(
            value
            for name, value in gate.metrics().items()
            if name.startswith("tidegate_gate_remarks_total")
            and all(f'{label}="{text}"' in name for label, text in coarsened.items())
        )

    stored_names(gate)
    assert counted() == 1
    put(gate, MANIFEST)
    stored_names(gate)
    assert counted() == 1


def test_a_gate_starts_with_the_manifest_in_force(tmp_path: Path) -> None:
    """A gate that is started again lets the names through from its first report on."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers) as gate:
        put(gate, MANIFEST)
        gate.stop()
    with running_gate(tmp_path, tiers=tiers) as gate:
        assert stored_names(gate) == ("eu-west", "assistant-small", "2.1")


def test_a_broken_store_takes_no_name_away(gate: RunningGate) -> None:
    """While the store cannot be read the last names stay in force, it is told, and no gate starts on it."""
    put(gate, MANIFEST)
    for name in ("", "-wal", "-shm"):
        (gate.data / f"{FILE_NAME}{name}").unlink(missing_ok=True)
    (gate.data / FILE_NAME).write_bytes(b"not a database at all" * 400)
    eventually(lambda: gate.events("manifest_unreadable"), "the gate saw that the store is broken")
    assert stored_names(gate) == ("eu-west", "assistant-small", "2.1")
    gate.stop()
    code, said = refused_start(gate.folder, tiers=gate.tiers)
    assert code == 1
    assert FILE_NAME in said
    assert "backup" in said
    assert "Traceback" not in said
