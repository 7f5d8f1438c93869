"""Tables of the pages that repeat a list of the code are that list."""

import ast
import importlib
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from aggregators.rollups.rollups import Rollups
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.access.tokens import TokenStore
from ingest.clock import ManualClock
from ingest.keys import DIRECTORY_NAME as KEYS_DIRECTORY
from ingest.keys import Keyring
from ingest.log.embedded import EmbeddedLog
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from ingest.pipeline import Submission
from ingest.telemetry.events import EVENTS, Event
from tests.documents import ROOT, bare, page
from tidegate.settings import LOG_DIRECTORY, ROLLUPS_DIRECTORY, Settings, flag, variable

OPERATIONS = page("docs/operations.md")
ARCHITECTURE = page("docs/architecture.md")
PRIVACY = page("docs/privacy.md")

NOW = 1_795_000_000_000
EVENT_COLUMNS = ("event", "level", "fields", "meaning, and what to do")
CONSTANT = re.compile(r"`(?P<file>[\w/]+\.py)` `(?P<name>[A-Z_]+)`")
PLACES = ("schemas", "ingest", "aggregators", "reporter", "tidegate", "load")
"""Packages whose every module the page names, but for the commands."""

COMMANDS = "tidegate/cli/"

MODULE = re.compile(rf"(?:{'|'.join(PLACES)})/[\w/]+\.py")


def test_settings_table_is_the_settings() -> None:
    """The page lists exactly the settings, in their order, each with its flag, variable, default and description."""
    rows = OPERATIONS.table("name", "flag", "variable", "default", "meaning")
    assert [tuple(bare(cell) for cell in row.values()) for row in rows] == [
        (name, flag(name), variable(name), _default(name), info.description)
        for name, info in Settings.model_fields.items()
    ]


def _default(name: str) -> str:
    info = Settings.model_fields[name]
    return "required" if info.is_required() else str(info.default or "none")


def test_events_table_is_the_events() -> None:
    """The page lists exactly the events, in their order, each with its level and fields."""
    rows = OPERATIONS.table(*EVENT_COLUMNS)
    assert [(bare(row["event"]), row["level"], bare(row["fields"])) for row in rows] == [
        (event.value, logging.getLevelName(declared.level).lower(), ", ".join(declared.fields) or "none")
        for event, declared in EVENTS.items()
    ]


def test_every_event_is_logged() -> None:
    """No event is declared that nothing logs."""
    text = "".join(
        file.read_text(encoding="utf-8") for place in ("ingest", "aggregators", "tidegate") for file in _modules(place)
    )
    assert [event.value for event in Event if text.count(f"Event.{event.name}") < 2] == []


def _modules(place: str) -> list[Path]:
    return sorted((ROOT / place).rglob("*.py"))


async def test_files_table_is_the_data_directory(tmp_path: Path) -> None:
    """The page lists exactly what tokens, keys, documents, log and rollups leave in a data directory, with its mode."""
    clock = ManualClock(NOW)
    tokens, keyring = TokenStore(tmp_path / TOKENS_FILE, clock), Keyring(tmp_path / KEYS_DIRECTORY, clock)
    log = EmbeddedLog(tmp_path / LOG_DIRECTORY)
    await log.probe()
    keyring.key("managed", 30, NOW)
    await log.close()
    OperatorDocuments(tmp_path / OPERATOR_FILE, clock).close()
    rollups = Rollups.open(tmp_path / ROLLUPS_DIRECTORY)
    rollups.close()
    keyring.close()
    tokens.close()
    found = {file.relative_to(tmp_path).as_posix(): oct(file.stat().st_mode & 0o777) for file in tmp_path.rglob("*.*")}
    rows = [row for row in OPERATIONS.table("file", "mode", "holds", "back up") if not bare(row["file"]).endswith("/")]
    assert {re.sub(r"/managed/.*", "/<tier>/<first day>.<days>d.key", name): mode for name, mode in found.items()} == {
        bare(row["file"]): oct(int(row["mode"], 8)) for row in rows
    }


@pytest.mark.parametrize("row", OPERATIONS.table("what", "figure", "where it is set"), ids=lambda row: row["what"])
def test_figure_is_the_constant(row: dict[str, str]) -> None:
    """Every figure of the table of limits is the constant that stands beside it."""
    place = CONSTANT.fullmatch(row["where it is set"])
    assert place is not None
    module = importlib.import_module(place["file"].removesuffix(".py").replace("/", "."))
    figure = re.match(r"[0-9,.]+", row["figure"])
    assert figure is not None
    assert float(figure[0].replace(",", "")) == getattr(module, place["name"])


def test_architecture_names_every_module() -> None:
    """The page names every module that holds more than a docstring, commands aside, and no other."""
    tree = {
        file.relative_to(ROOT).as_posix()
        for place in PLACES
        for file in (ROOT / place).rglob("*.py")
        if len(ast.parse(file.read_text(encoding="utf-8")).body) > 1
    }
    tree = {module for module in tree if not module.startswith(COMMANDS)}
    named = [bare(row["module"]) for rows in ARCHITECTURE.tables("module", "holds") for row in rows]
    assert sorted(named) == sorted(tree)


def test_architecture_names_modules_in_full() -> None:
    """Every module that the page names is where the page says it is."""
    assert [name for name in MODULE.findall(ARCHITECTURE.text) if not (ROOT / name).is_file()] == []


def test_what_crosses_into_the_core_is_the_submission() -> None:
    """The page lists exactly the fields of what HTTP hands to the core."""
    rows = PRIVACY.table("field", "what it is")
    assert [bare(row["field"]) for row in rows] == [field.name for field in fields(Submission)]
