"""docs/wire.md is true: its fingerprints, its order of fields, its examples of bytes, and what it says of each tier."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from ingest.pipeline import CUT
from ingest.problems import Action
from schemas.avro_types import Array, AvroType, Map, Primitive
from schemas.catalogue import load_catalogue
from schemas.plan import Action as Kept
from tests.documents import ROOT, bare, page
from tests.wire.encoding import BlockHead, datum, encoded, plain, sized
from tests.wire.fingerprints import TIME, TIME_IN_GO, TIME_IN_PYTHON

PAGE = page("docs/wire.md")
CATALOGUE = load_catalogue()

EXAMPLE = re.compile(r"`([^`]+)` (?:is|may be) `([0-9a-f]+)`")
HEADER_FIELDS = 24

NEVER_KEPT = ("user_id", "user_email", "hostname", "serial", "ip_address", "attributes")


def test_the_fingerprints_are_those_of_the_schemas() -> None:
    """The page has the fingerprint of every schema."""
    rows = PAGE.table("report", "version", "fingerprint")
    assert [tuple(bare(cell) for cell in row.values()) for row in rows] == [
        (schema.name, str(schema.version), schema.fingerprint.hex())
        for schema in sorted(CATALOGUE.schemas, key=lambda one: (one.name, one.version))
    ]


def test_the_forms_are_those_that_were_seen() -> None:
    """The page says how each library writes a time in the form that it takes the fingerprint of."""
    rows = PAGE.table("library", "writes the type of a time as", "fingerprint")
    assert [bare(row["writes the type of a time as"]) for row in rows] == [TIME, TIME_IN_GO, TIME_IN_PYTHON]


def test_the_versions_are_those_of_the_pins() -> None:
    """The versions that the page names are those that the senders and the tests are pinned to."""
    libraries = " ".join(row["library"] for row in PAGE.table("library", "writes the type of a time as", "fingerprint"))
    pins = {
        "Java": (ROOT / "docs/senders/java/pom.xml", r"<artifactId>avro</artifactId>\s*<version>(\d+\.\d+)"),
        "Go": (ROOT / "docs/senders/go/go.mod", r"hamba/avro/v2 v(\d+\.\d+)"),
        "Python": (ROOT / "constraints.txt", r"(?m)^avro==(\d+\.\d+)"),
    }
    for language, (file, pattern) in pins.items():
        found = re.search(pattern, file.read_text(encoding="utf-8"))
        assert found
        assert f"{language} {found[1]}" in libraries


def test_the_order_of_the_fields_is_that_of_every_schema() -> None:
    """The page lists the fields that every report begins with, in their order."""
    [line] = re.findall(r"in this order: ([^.]+)\.", PAGE.text)
    said = re.findall(r"`(\w+)`", line)
    assert len(said) == HEADER_FIELDS
    for schema in CATALOGUE.schemas:
        assert [field.name for field in schema.root.fields[:HEADER_FIELDS]] == said


def test_the_examples_are_bytes() -> None:
    """Every example of a value and its bytes is what the specification makes of that value."""
    examples = list(_examples())
    assert len(examples) >= 12
    for value, wanted, head in examples:
        assert encoded(datum(_type(value), value, head)).hex() == wanted, value


def _examples() -> Iterator[tuple[Any, str, BlockHead]]:
    for value, wanted in EXAMPLE.findall(" ".join(PAGE.text.split())):
        if value == "null":
            assert wanted == "00"
            continue
        head = sized if f"`{value}` may be `{wanted}`" in " ".join(PAGE.text.split()) else plain
        yield json.loads(value), wanted, head


def _type(value: Any) -> AvroType:
    if isinstance(value, bool):
        return Primitive("boolean")
    if isinstance(value, int):
        return Primitive("long")
    if isinstance(value, str):
        return Primitive("string")
    return Array(Primitive("long")) if isinstance(value, list) else Map(Primitive("string"))


def test_media_types_and_actions_are_all_there() -> None:
    """The page names every media type that the gate takes, and every action that it advises."""
    for name in (*CUT, *get_args(Action)):
        assert f"`{name}`" in PAGE.text


def test_what_no_tier_keeps() -> None:
    """What the page tells nobody to send is dropped by every tier, and contractors are refused as it says."""
    for name in NEVER_KEPT:
        assert f"`{name}`" in PAGE.text.partition("No tier keeps")[2].partition(";")[0]
        planned = [field for plan in CATALOGUE.plans.values() for field in plan.fields if field.field.path == name]
        assert {field.action for field in planned} == {Kept.DROP}
    assert {one.field for one in CATALOGUE.tiers["contractor"].refuse_if_present} == {"user_email", "serial"}
