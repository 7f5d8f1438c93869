"""Policies as loaded from their files, and what is refused as one."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from schemas.catalogue import TIERS_DIRECTORY
from schemas.errors import ContractError, Finding
from schemas.tier import MS_PER_DAY, load_tier

SHIPPED = {file.stem: load_tier(file) for file in sorted(TIERS_DIRECTORY.glob("*.toml"))}
TEXT = (TIERS_DIRECTORY / "managed.toml").read_text(encoding="utf-8")

PROMISED = {
    "managed": {"k": 5, "min_tasks_per_row": 1, "window_minutes": 5, "horizon_days": 45, "timestamp": "millisecond"},
    "byod": {"k": 10, "min_tasks_per_row": 3, "window_minutes": 5, "horizon_days": 45, "timestamp": "hour"},
    "contractor": {"k": 20, "min_tasks_per_row": 5, "window_minutes": 60, "horizon_days": 45, "timestamp": "hour"},
}


@pytest.mark.parametrize("name", PROMISED)
def test_the_shipped_tiers_keep_what_was_promised(name: str) -> None:
    """Group sizes, folding, windows and horizon of each tier are those of the design."""
    tier = SHIPPED[name]
    told = {key: getattr(tier, key) for key in PROMISED[name] if key != "timestamp"}
    assert told | {"timestamp": tier.record.timestamp} == PROMISED[name]
    assert tier.horizon_ms == 45 * MS_PER_DAY


def test_each_tier_is_stricter_than_the_one_before() -> None:
    """The three tiers form one chain."""
    assert {name: tier.stricter_than for name, tier in SHIPPED.items()} == {
        "managed": None,
        "byod": "managed",
        "contractor": "byod",
    }


@pytest.mark.parametrize("name", PROMISED)
def test_every_rule_says_why(name: str) -> None:
    """A reason is a sentence, not a word."""
    tier = SHIPPED[name]
    reasons = [rule.why for rule in tier.rules] + [entry.why for entry in tier.refuse_if_present] + [tier.why]
    assert [why for why in reasons if len(why.split()) < 6 or not why.endswith(".")] == []


def test_a_refusal_begins_with_its_day() -> None:
    """The day from which a field is refused begins at midnight, UTC."""
    [entry] = SHIPPED["managed"].refuse_if_present
    assert (entry.field, entry.since) == ("ip_address", date(2027, 10, 1))
    assert datetime.fromtimestamp(entry.since_ms / 1000, UTC) == datetime(2027, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("residency", "region", "expected"),
    [
        ({"*": ("*",)}, "eu-west", ("*",)),
        ({"eu-west": ("a",), "*": ("b",)}, "eu-west", ("a",)),
        ({"eu-west": ("a",), "*": ("b",)}, None, ("b",)),
        ({"eu-west": ("a",)}, "us-east", ()),
    ],
)
def test_stores_in(residency: dict[str, tuple[str, ...]], region: str | None, expected: tuple[str, ...]) -> None:
    """A region's own rule goes first, then the rule for all others, else nowhere."""
    assert SHIPPED["managed"].model_copy(update={"residency": residency}).stores_in(region) == expected


def test_segments_close_before_their_records_are_due(tmp_path: Path) -> None:
    """A segment longer than the retention, which would double it, is refused."""
    short = TEXT.replace("retention_days = 400", "retention_days = 1")
    text = short.replace("segment_hours = 24", "segment_hours = 25")
    [finding] = findings_of(tmp_path, text)
    assert "segment_hours is longer than retention_days" in finding.problem


def findings_of(directory: Path, text: str | bytes) -> tuple[Finding, ...]:
    """Everything that is wrong with a policy file."""
    file = directory / "managed.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ContractError) as error:
        load_tier(file)
    assert {finding.file for finding in error.value.findings} == {str(file)}
    return error.value.findings


BROKEN = [
    pytest.param("k = 5", "k = five", "not TOML", "syntax", id="not TOML"),
    pytest.param("k = 5", "k = 5\nk = 6", "not TOML", "syntax", id="a key twice"),
    pytest.param("k = 5", "k = 1", "k: Input should be greater", "docs/policies.md", id="a group of one"),
    pytest.param("k = 5", 'k = "5"\nkk = 5', "kk: Extra inputs", "did you mean k", id="a key that does not exist"),
    pytest.param("version = 1", "version = 0", "version: Input should be greater", "docs", id="a version of 0"),
    pytest.param("horizon_days = 45", "horizon_days = 0", "horizon_days", "docs", id="a horizon of no day"),
    pytest.param('tier = "managed"', 'tier = "Managed"', "tier: String should match", "docs", id="a capital letter"),
    pytest.param('tier = "managed"', 'tier = "none"', "choose another name", "docs", id="the label of no tier"),
    pytest.param("burst = 1000", "burts = 1000", "admission.burts: Extra", "did you mean burst", id="a typing error"),
    pytest.param(
        '"10.0.0.0/8"', '"10.0.0.1/8"', "trusted_networks", "docs", id="a network with bits of a host"
    ),
    pytest.param('inside = ["device"', 'inside = ["cookie"', "admission.inside.0", "docs", id="a kind of token"),
    pytest.param('timestamp = "millisecond"', 'timestamp = "minute"', "record.timestamp", "docs", id="a precision"),
    pytest.param('"ce_time", ', '"x-address", ', "record.headers.4", "docs", id="a header that does not exist"),
    pytest.param(
        'timestamp = "millisecond"', 'timestamp = "hour"', "ce_time would tell the time", "docs", id="a finer header"
    ),
    pytest.param("partitions = 6", "partitions = 0", "topic.partitions", "docs", id="a topic of no partition"),
    pytest.param("partitions = 6", "partition = 6", "topic.partition: Extra", "did you mean", id="a key of it"),
    pytest.param(
        'policy = "delete"', 'policy = "compact"', "compact would remove records", "docs", id="losing records"
    ),
    pytest.param(
        'policy = "delete"', 'policy = "compact,delete"', "compact would remove", "docs", id="one that does in part"
    ),
    pytest.param('policy = "delete"', 'policy = "keep"', "topic.cleanup_policy", "docs", id="a policy of cleaning"),
    pytest.param("replicas = 2", "replicas = 4", "more than replication_factor", "docs", id="more in sync than copies"),
    pytest.param("segment_hours = 24", "segment_hours = 169", "topic.segment_hours", "docs", id="a segment of 8 days"),
    pytest.param("readers = []", 'readers = ["analyst"]', "topic.readers.0", "docs", id="a reader of no kind"),
    pytest.param("readers = []", 'readers = ["User:*"]', "topic.readers.0", "docs", id="everybody as a reader"),
    pytest.param("readers = []", 'readers = ["User:a\\nb"]', "topic.readers.0", "docs", id="a reader of two lines"),
    pytest.param("epoch_days = 30", "epoch_days = 0", "pseudonym.epoch_days", "docs", id="an epoch of no day"),
    pytest.param("since = 2027-10-01", 'since = "soon"', "refuse_if_present.0.since", "docs", id="a day that is none"),
    pytest.param('action = "pseudonymise"', 'action = "hash"', "rule.0", "keep, drop, coarsen", id="an action"),
    pytest.param('action = "pseudonymise"', "", "rule.0", "keep, drop, coarsen", id="no action"),
    pytest.param('by = "version"', 'by = "versoin"', "rule", "floor_hour, ceil_hour", id="a way to coarsen"),
    pytest.param("parts = 2", "parts = 0", "parts", "docs", id="a version of no number"),
    pytest.param("parts = 2", "part = 2", "part: Extra inputs", "did you mean parts", id="a parameter"),
    pytest.param("parts = 2", "parts = 2\nipv4 = 8", "ipv4: Extra inputs", "remove it", id="that of another way"),
    pytest.param('of = "region"', 'of = "person"', "of: Input should be", "docs", id="a kind of name"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem", "fix"), BROKEN)
def test_refuses(tmp_path: Path, old: str, new: str, problem: str, fix: str) -> None:
    """Whatever is not understood in full is refused, at its line, with a way out."""
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    findings = findings_of(tmp_path, text)
    found = next((finding for finding in findings if problem in finding.problem and fix in finding.fix), None)
    assert found is not None, [str(finding) for finding in findings]
    near = text[: text.index(new)].count("\n") + 1 if new else found.line
    assert 0 < found.line <= near + 1
    assert near - found.line < 12, "the line is not near the mistake"


MISSING = ["version = 1", "k = 5", "horizon_days = 45", "[record]", "epoch_days = 30", 'why = "The organisation owns']


@pytest.mark.parametrize("key", MISSING)
def test_refuses_a_missing_key(tmp_path: Path, key: str) -> None:
    """No number has a default: a policy says all that is in force."""
    line = next(line for line in TEXT.splitlines() if line.startswith(key))
    findings = findings_of(tmp_path, TEXT.replace(line, "[elsewhere]" if key == "[record]" else "", 1))
    assert any("Field required" in finding.problem and "add the key" in finding.fix for finding in findings)


def test_refuses_rules_that_cannot_be(tmp_path: Path) -> None:
    """Bounds that do not rise, a consent nobody can give, and a pseudonym without an epoch are told."""
    head = TEXT[: TEXT.index("[[rule]]")]
    rules = """
[[rule]]
fields = ["a"]
action = "coarsen"
by = "bucket"
bounds = [10, 0]
why = "A test."

[[rule]]
fields = ["b"]
action = "keep"
consent = "locations"
why = "A test."
"""
    first, second = findings_of(tmp_path, head + rules)
    assert "bounds must rise" in first.problem
    assert "did you mean location" in second.problem
    assert [first.line, second.line] == [
        (head + rules)[: (head + rules).index(mark)].count("\n") + 1 for mark in ("bounds =", "consent =")
    ]
    [finding] = findings_of(tmp_path, TEXT.replace("[pseudonym]\nepoch_days = 30", ""))
    assert "[pseudonym] with epoch_days is missing" in finding.problem


def test_refuses_what_is_not_utf8(tmp_path: Path) -> None:
    """A file in another encoding is refused at the line where it shows, and does not take the gate down."""
    [finding] = findings_of(tmp_path, b'tier = "managed"\nwhy = "Ger\xe4te"\n')
    assert (finding.problem, finding.line) == ("not UTF-8", 2)


def test_hostnames_have_no_case(tmp_path: Path) -> None:
    """A hostname is compared in lower case, whatever the file says."""
    file = tmp_path / "managed.toml"
    file.write_text(TEXT.replace('"managed.tidegate.localhost"', '"A.Example"'), encoding="utf-8")
    assert load_tier(file).hostnames == ("a.example",)
