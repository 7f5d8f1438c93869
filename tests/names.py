"""Every name that a page may put into backticks: gathered from where each list of names lives, none written here."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel

import ingest.telemetry.metric_list
import ingest.telemetry.tracing
from aggregators.publication.measures import load_measures
from ingest.problems import Action, Reason
from ingest.telemetry.events import EVENTS
from ingest.telemetry.outcomes import OUTCOMES_SCHEMA
from reporter.agent.command import parser as agent_parser
from reporter.directory import Directory
from reporter.otel.conventions import conventions
from schemas.avro_types import PRIVACY_CLASSES, Enumeration
from schemas.catalogue import load_catalogue
from schemas.output_schema import RESERVED_NAMES
from schemas.report_schema import CONSENT_PURPOSES
from schemas.tier import (
    AdmissionPolicy,
    KnownNames,
    PseudonymPolicy,
    RecordPolicy,
    RefuseIfPresent,
    Rule,
    Tier,
    TopicPolicy,
)
from schemas.topics import topic_configs
from tests.documents import ROOT
from tests.real_kafka import BOOTSTRAP_VARIABLE, REQUIRE_VARIABLE
from tidegate.cli import main
from tidegate.settings import OTHER_VARIABLES, Settings, variable

PATTERNS = (
    re.compile(r"^(?:[0-9]{3} )?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)$"),  # reasons, events, fields, keys, settings
    re.compile(r"^([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)$"),  # rows.model, tidegate.gate.reports, files
    re.compile(r"^(tidegate_[a-z_]+)$"),  # metrics as Prometheus shows them
    re.compile(r"\b(TIDEGATE_[A-Z_]+)\b"),
    re.compile(r"^(--[a-z-]+)"),
)
"""What in backticks looks like a name of ours. A single plain word is any word, and is left alone."""

PROMETHEUS_SUFFIXES = (
    *("", "_total", "_bytes", "_bytes_sum"),
    *("_seconds", "_seconds_total", "_seconds_count", "_seconds_sum", "_seconds_bucket"),
)
"""What Prometheus puts behind a name: a unit and the part of a histogram."""


FOREIGN = (
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment.name",
    "parentbased_traceidratio",
    "allow.everyone.if.no.acl.found",
)
"""Names of OpenTelemetry and of Kafka's brokers that a page explains."""

OURS = frozenset({"schemas", "ingest", "aggregators", "reporter", "tidegate", "load", "tests"})


def is_of_a_library(name: str) -> bool:
    """Whether a dotted name begins with a module that is installed and not ours, such as `fastavro.validate`."""
    module, dot, _ = name.partition(".")
    return bool(dot) and module not in OURS and find_spec(module) is not None


@cache
def known_names() -> frozenset[str]:
    """Every name of the product; a name that a page uses and that is not here is a mistake of the page."""
    product = {*_contracts(), *_gate(), *_telemetry(), *_measures(), *_command_line(), *_code(), *_files()}
    return frozenset({*product, *_tests()})


def _tests() -> Iterator[str]:
    """What a test may ask for, and what says on which Kafka it runs."""
    yield from (BOOTSTRAP_VARIABLE, REQUIRE_VARIABLE)
    tree = ast.parse((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    yield from (node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def _contracts() -> Iterator[str]:
    catalogue = load_catalogue()
    for schema in catalogue.schemas:
        yield from (schema.name, schema.label)
        for path, field in schema.fields.items():
            yield from (path, path.rpartition(".")[2], f"{schema.name}.{path}")
            if isinstance(field.type, Enumeration):
                yield from field.type.symbols
    yield from (*catalogue.tiers, *PRIVACY_CLASSES, *RESERVED_NAMES, *CONSENT_PURPOSES, *get_args(KnownNames))
    for model in (Tier, AdmissionPolicy, RecordPolicy, PseudonymPolicy, TopicPolicy, RefuseIfPresent):
        yield from _keys(model)
    yield from topic_configs(retention_ms=1, segment_ms=1, min_insync_replicas=1)
    for option in get_args(get_args(Rule)[0]):
        yield from _keys(get_args(option)[0])


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield info.alias or name
        yield from _symbols(info.annotation)


def _symbols(annotation: Any) -> Iterator[str]:
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield inner
        else:
            yield from _symbols(inner)


def _gate() -> Iterator[str]:
    yield from (*(reason.value for reason in Reason), *get_args(Action))
    yield from (event.value for event in EVENTS)
    yield from (name for declared in EVENTS.values() for name in declared.fields)
    yield from (field["name"] for field in OUTCOMES_SCHEMA["fields"])
    yield "tidegate.control"


def _answers() -> Iterator[str]:
    """Measures, and what may be asked of each."""
    for measure in load_measures().values():
        yield from (measure.name, *measure.dimensions, *measure.units)


def _telemetry() -> Iterator[str]:
    """Metrics, spans and attributes are the texts of that form in the modules that declare them."""
    for module in (ingest.telemetry.metric_list, ingest.telemetry.tracing):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        for name in (text for text in texts if re.fullmatch(r"[a-z_]+(\.[a-z_]+)*\.?", text)):
            yield name
            yield from (name.replace(".", "_") + suffix for suffix in PROMETHEUS_SUFFIXES)
    yield from FOREIGN
    yield from (*conventions().wanted.attributes, *conventions().operations)


def _measures() -> Iterator[str]:
    """Measures, what they are asked by, and the columns of their answers."""
    for measure in load_measures().values():
        yield from (measure.name, *measure.dimensions)
        yield from (value.name for value in (*measure.values, *measure.histograms, *measure.columns))


def _command_line() -> Iterator[str]:
    yield from OTHER_VARIABLES
    for name in Settings.model_fields:
        yield from (name, variable(name))
    yield from _options(main)
    yield from agent_parser("tidegate agent").options()


def _options(command: click.Command) -> Iterator[str]:
    yield from (option for parameter in command.params for option in parameter.opts)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _options(inner)


def _code() -> Iterator[str]:
    """Modules, what they define, fields of classes, what constants hold, and the keys of documents."""
    for folder in OURS - {"tests"}:
        for file in (ROOT / folder).rglob("*.py"):
            yield file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                yield from _defined(node)


def _defined(node: ast.AST) -> Iterator[str]:
    match node:
        case (
            ast.FunctionDef(name=name)
            | ast.AsyncFunctionDef(name=name)
            | ast.ClassDef(name=name)
            | ast.AnnAssign(target=ast.Name(id=name))
        ):
            yield name
        case ast.Assign(targets=[ast.Name()], value=ast.Constant(value=str(text))):
            yield text
        case ast.Dict(keys=keys):
            yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _files() -> Iterator[str]:
    """Names of files, whose places another test looks at."""
    for file in (*ROOT.iterdir(), *ROOT.glob("docs/*"), *ROOT.glob("schemas/*/*")):
        yield file.name
    device = Directory(ROOT)
    yield from (getattr(device, name).name for name, kind in vars(Directory).items() if isinstance(kind, property))
