"""What the device knows of the schemas by heart, against the files and the gate's own reading of them."""

import pytest

from reporter.reports import FINGERPRINTS, IDENTIFIERS, PREAMBLE, PURPOSES, VERSION, Field, schema
from schemas.avro_types import Array, Enumeration, Fixed, Map, Primitive, Record
from schemas.avro_types import Field as GateField
from schemas.catalogue import load_catalogue
from schemas.report_schema import CONSENT_PURPOSES
from schemas.report_schema import PREAMBLE as GATE_PREAMBLE

LATEST = load_catalogue().latest

over_reports = pytest.mark.parametrize("report", sorted(LATEST))


def test_every_report_is_known_in_its_newest_version() -> None:
    """The fingerprints that stand in the code are those of the newest schema files, and none is missing."""
    assert {name: (one.version, one.fingerprint) for name, one in LATEST.items()} == {
        name: (VERSION, fingerprint) for name, fingerprint in FINGERPRINTS.items()
    }


@over_reports
def test_messages_begin_as_the_gate_expects(report: str) -> None:
    """The prefix of a message is the one by which the gate finds the schema."""
    assert schema(report).prefix == LATEST[report].message_prefix


@over_reports
def test_header_has_the_fields_that_are_named(report: str) -> None:
    """Every report begins with the preamble and then the identifiers, in the order in which the code has them."""
    names = tuple(field.name for field in schema(report).fields)
    assert names[: len(PREAMBLE) + len(IDENTIFIERS)] == (*GATE_PREAMBLE, *IDENTIFIERS)
    assert (PREAMBLE, PURPOSES) == (GATE_PREAMBLE, CONSENT_PURPOSES)


@over_reports
def test_no_other_field_identifies(report: str) -> None:
    """The fields of class identifier are the six that are never queued, and the attributes that are never sent."""
    classes = {path: field.privacy for path, field in schema(report).by_path.items()}
    assert {path for path, privacy in classes.items() if privacy == "identifier"} == {*IDENTIFIERS, "attributes"}


def kind_of(field: GateField) -> tuple[str, tuple[str, ...], int]:
    """Kind, symbols and size of a field, or of the items of an array, as the gate has them."""
    node = field.type.items if isinstance(field.type, Array) else field.type
    match node:
        case Primitive(name, _):
            return name, (), 0
        case Enumeration(_, symbols):
            return "enum", symbols, 0
        case Fixed(_, size):
            return "fixed", (), size
        case Map():
            return "map", (), 0
        case Record():
            return "record", (), 0
    raise AssertionError("another type")


@over_reports
def test_fields_are_those_of_the_gate(report: str) -> None:
    """Path, type, symbols, class and default of every field are as the gate reads them, in the same order."""

    def here(field: Field) -> tuple[object, ...]:
        kind = (field.kind, field.symbols, field.size)
        return field.path, kind, field.repeated, field.nullable, field.privacy, field.has_default, field.default

    def there(field: GateField) -> tuple[object, ...]:
        repeated = isinstance(field.type, Array)
        return field.path, kind_of(field), repeated, field.nullable, field.privacy, field.has_default, field.default

    assert [*map(here, schema(report).by_path.values())] == [*map(there, LATEST[report].fields.values())]


@over_reports
def test_a_blank_may_stand_where_it_is_blank(report: str) -> None:
    """What stands for a field that says nothing is a value that its type takes, and is the caller's own."""
    for path, field in schema(report).by_path.items():
        blank = field.blank()
        if field.nullable:
            assert blank is None, path
        elif field.repeated:
            assert blank == [], path
        else:
            assert field.takes(blank), path
        if isinstance(blank, list | dict):
            assert blank is not field.blank(), path


def test_there_is_no_other_report() -> None:
    """A name that no report has is refused as a key is."""
    with pytest.raises(KeyError):
        schema("no_such_report")


TAKES = [
    pytest.param("rows.tasks", 2**31 - 1, True, id="the greatest int"),
    pytest.param("rows.tasks", 2**31, False, id="an int of 33 bits"),
    pytest.param("rows.tasks", True, False, id="a flag is no number"),
    pytest.param("rows.tokens_in", -(2**63), True, id="the least long"),
    pytest.param("rows.tokens_in", 2**63, False, id="a long of 65 bits"),
    pytest.param("rows.tasks", 1.0, False, id="a fraction is no count"),
    pytest.param("first_of_day", 1, False, id="a number is no flag"),
    pytest.param("rows.data_class", "public", True, id="a symbol"),
    pytest.param("rows.data_class", "secret", False, id="no symbol of the schema"),
    pytest.param("rows.data_class", ["public"], False, id="what cannot be compared with symbols"),
    pytest.param("report_id", bytes(16), True, id="sixteen bytes"),
    pytest.param("report_id", bytes(15), False, id="fifteen bytes"),
    pytest.param("region", "eu-west", True, id="a text"),
    pytest.param("region", "eu-\ud800", False, id="half a surrogate pair"),
    pytest.param("region", b"eu-west", False, id="bytes are no text"),
    pytest.param("attributes", {}, True, id="a map"),
    pytest.param("attributes", [], False, id="a list is no map"),
]


@pytest.mark.parametrize(("path", "value", "fits"), TAKES)
def test_what_a_field_takes(path: str, value: object, *, fits: bool) -> None:
    """A value that its type does not have is seen before Avro's library sees it."""
    assert schema("route_window").by_path[path].takes(value) is fits
