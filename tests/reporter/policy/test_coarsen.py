"""What the device coarsens, against what the gate would make of the same value."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.coarsen import name_coarsening, number_coarsening
from reporter.coarsen import KINDS, coarsening
from schemas.manifest import Manifest
from schemas.operator_names import MAX_NAME
from schemas.tier import KnownNames, Rule
from tests.reporter.policy.any_tier import RULES
from tests.strategies import BORDERS, LONG_BORDERS, NAMES

NUMBER_KINDS = [
    pytest.param({"kind": "floor_hour"}, id="start of the hour"),
    pytest.param({"kind": "ceil_hour"}, id="end of the hour"),
    pytest.param({"kind": "bucket", "bounds": [0, 10, 100]}, id="bucket"),
    pytest.param({"kind": "bucket", "bounds": [-5]}, id="one bucket"),
]
NAME_KINDS = [
    pytest.param({"kind": "version", "parts": 1}, id="major"),
    pytest.param({"kind": "version", "parts": 2}, id="major.minor"),
    pytest.param({"kind": "version", "parts": 4}, id="four parts"),
    pytest.param({"kind": "address", "ipv4": 24, "ipv6": 48}, id="address"),
    pytest.param({"kind": "address", "ipv4": 0, "ipv6": 0}, id="no bit of an address"),
    pytest.param({"kind": "allowed", "allowed": ["windows", "MacBook Pro"]}, id="allowed"),
]

ODD_NAMES = [
    *NAMES, "192.0.2.77", "2001:db8::1%eth0", "::ffff:192.0.2.77", "2001:DB8::1", "1.2.3.4", "1..2", "1.2.",
    "1.2.3+x\ny", "1234567", "٣.1", "1.2-\x00", " 1.2", "1.2\n", "192.0.2.077", "300.1.1.1", "v1.2",
]  # fmt: skip


def at_the_gate(described: dict[str, Any]) -> Rule:
    """The rule of a policy file that the description was published for."""
    more = {name: value for name, value in described.items() if name != "kind"}
    return RULES.validate_python(
        {"action": "coarsen", "by": described["kind"], "fields": ["x"], "why": "A test.", **more}
    )


def on_the_device(described: dict[str, Any], value: Any) -> Any:
    """What the device makes of a value."""
    found = coarsening(described)
    assert found is not None
    return found.apply(value)


@pytest.mark.parametrize("described", NUMBER_KINDS)
@given(number=st.sampled_from([*BORDERS, *LONG_BORDERS]) | st.integers(-(2**63), 2**63 - 1))
def test_numbers_as_at_the_gate(described: dict[str, Any], number: int) -> None:
    """A number becomes on the device what it would become at the gate, and stays so there."""
    theirs = number_coarsening(at_the_gate(described))
    assert theirs is not None
    ours = on_the_device(described, number)
    assert (ours, theirs(ours)) == (theirs(number), ours)


def hold_names(described: dict[str, Any], name: str) -> None:
    """A name becomes on the device what it would become at the gate, and stays so there."""
    theirs = name_coarsening(at_the_gate(described))
    assert theirs is not None
    ours = on_the_device(described, name)
    expected = theirs(name.encode(), {})
    assert (ours.encode() == expected, theirs(expected, {}) == expected) == (True, True)


@pytest.mark.parametrize("described", NAME_KINDS)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_as_at_the_gate(described: dict[str, Any], name: str) -> None:
    """Names at the borders of what a version, an address or a list is become what they would become at the gate."""
    hold_names(described, name)


@pytest.mark.parametrize("described", NAME_KINDS)
@given(name=st.from_regex(r"[0-9.:a-f%+ -]{1,20}") | st.text(max_size=12))
def test_names_as_at_the_gate(described: dict[str, Any], name: str) -> None:
    """Any other name becomes on the device what it would become at the gate, too."""
    hold_names(described, name)


LONGEST_DIGEST = f"{'a' * 16}:{'0' * 128}"
OF_MANIFESTS = [
    "n" * MAX_NAME, "n" * (MAX_NAME + 1), "org/model-3.5:8b@q4", "two words", "two  blanks", " led", "trailed ", "a, b",
    "", "+", "-", "größe", "a\nb", "a\n", "/home/a person/model, old", LONGEST_DIGEST, f"{LONGEST_DIGEST}0",
    "sha256:0123abcd", "sha256:0123ABCD", "sha256:0123abc", "a:01234567",
]  # fmt: skip


def may_be_in_a_manifest(kind: str, name: str) -> bool:
    """Whether a manifest with that name is one."""
    version = {"version": "1", "digest": name} if kind == "digest" else {"version": "1"}
    names = {"model": "m", "region": "r", "site": "s", "mirror": "i", kind: name}
    if kind == "model_version":
        version = {"version": name}
    lists: dict[str, Any] = {f"{kind}s": [names[kind]] for kind in ("region", "site", "mirror")}
    try:
        Manifest.model_validate({**lists, "models": [{"name": names["model"], "versions": [version]}]})
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", get_args(KnownNames))
@pytest.mark.parametrize("name", OF_MANIFESTS)
def test_only_the_gate_knows_names(kind: str, name: str) -> None:
    """A name that a manifest might have goes out as it is, and one that none can have does not."""
    assert (on_the_device({"kind": "known", "of": kind}, name) == name) is may_be_in_a_manifest(kind, name)


@given(name=st.text(st.sampled_from("ab .,:*/-@\t\xe4"), max_size=12) | st.text(max_size=8))
def test_no_name_of_a_manifest_is_lost(name: str) -> None:
    """Whatever name a manifest may have, it leaves the device as it is."""
    if may_be_in_a_manifest("model", name):
        assert on_the_device({"kind": "known", "of": "model"}, name) == name


@pytest.mark.parametrize("name", ["n" * MAX_NAME, LONGEST_DIGEST])
@pytest.mark.parametrize("described", [{"kind": "known", "of": "a kind to come"}, {"kind": "known"}])
def test_names_of_a_kind_to_come(described: dict[str, Any], name: str) -> None:
    """Of a kind that this agent does not know a name may be a digest as well."""
    assert on_the_device(described, name) == name
    assert on_the_device(described, f"{name}, at home") == "other"


def test_every_kind_of_the_policies_is_known() -> None:
    """There is no coarsening in the language of policy files that a device could not do or leave to the gate."""
    schema = RULES.json_schema()
    published = {
        definition["properties"]["by"]["const"]
        for definition in schema["$defs"].values()
        if "by" in definition["properties"]
    }
    assert published == KINDS.keys()


BROKEN = [
    pytest.param({"kind": "bucket"}, "bounds", id="no bounds"),
    pytest.param({"kind": "bucket", "bounds": []}, "bounds", id="not one bound"),
    pytest.param({"kind": "bucket", "bounds": [3, 3]}, "bounds", id="bounds that do not rise"),
    pytest.param({"kind": "bucket", "bounds": [1, "tango"]}, "bounds", id="a bound that is a text"),
    pytest.param({"kind": "bucket", "bounds": [False, True]}, "bounds", id="bounds that are flags"),
    pytest.param({"kind": "version", "parts": 0}, "parts", id="no part"),
    pytest.param({"kind": "version", "parts": "tango"}, "parts", id="parts in words"),
    pytest.param({"kind": "address", "ipv4": 33, "ipv6": 48}, "ipv4", id="more bits than an address has"),
    pytest.param({"kind": "address", "ipv4": 24}, "ipv6", id="half of the bits"),
    pytest.param({"kind": "allowed", "allowed": "tango"}, "allowed", id="a text for a list"),
    pytest.param({"kind": "allowed", "allowed": [["tango"]]}, "allowed", id="a list in a list"),
]


@pytest.mark.parametrize(("described", "at"), BROKEN)
def test_broken_parameters(described: dict[str, Any], at: str) -> None:
    """Parameters that are none are refused by their name, without what they held."""
    with pytest.raises(ValueError, match=f"^{at}: ") as refusal:
        coarsening(described)
    assert "tango" not in str(refusal.value)


@pytest.mark.parametrize("kind", [None, "round", 7, ["bucket"]])
def test_a_kind_of_tomorrow_is_none(kind: Any) -> None:
    """A kind that this agent does not know is told as such, so that its field can be dropped."""
    assert coarsening({"kind": kind}) is None
