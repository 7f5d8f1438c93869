"""The manifest as loaded from its file: what it names, and what is refused as one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import schemas.manifest
from schemas.errors import ContractError, Finding
from schemas.manifest import Manifest, load_manifest
from schemas.operator_names import MAX_NAME
from schemas.toml_file import MAX_BYTES, MAX_FINDINGS

EXAMPLE = Path(schemas.manifest.__file__).parent / "examples" / "manifest.toml"

TEXT = """\
regions = ["eu-north", "eu-west"]
sites = ["harbour"]
mirrors = ["m1", "m2"]

[[models]]
name = "small"
versions = [
  {version = "2.0"},
  {version = "2.1", digest = "sha256:0123456789abcdef"},
]
revoked = ["1.9"]

[[models.wanted]]
region = "*"
version = "2.0"
share = 1

[[models.wanted]]
region = "eu-west"
version = "2.1"
share = 0.9

[[models.wanted]]
region = "eu-west"
version = "2.0"
share = 0.1

[[models]]
name = "large"
versions = [{version = "5"}]
"""


def load(directory: Path, text: str | bytes) -> Manifest:
    """The manifest of a text."""
    file = directory / "manifest.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_manifest(file)


def findings_of(directory: Path, text: str | bytes) -> tuple[Finding, ...]:
    """Everything that is wrong with a manifest."""
    with pytest.raises(ContractError) as error:
        load(directory, text)
    assert {finding.file for finding in error.value.findings} == {str(directory / "manifest.toml")}
    return error.value.findings


def test_the_names_that_pass_the_gate(tmp_path: Path) -> None:
    """Every name of the file passes under its kind, those of all models together and a revoked version among them."""
    assert load(tmp_path, TEXT).names() == {
        "model": {b"small", b"large"},
        "model_version": {b"2.0", b"2.1", b"5", b"1.9"},
        "digest": {b"sha256:0123456789abcdef"},
        "region": {b"eu-north", b"eu-west"},
        "site": {b"harbour"},
        "mirror": {b"m1", b"m2"},
    }


def test_what_is_wanted_and_what_is_revoked(tmp_path: Path) -> None:
    """Rows of wanted shares and of revoked versions are those of the file, `*` as it stands."""
    manifest = load(tmp_path, TEXT)
    assert manifest.wanted_rows() == [
        ("small", "*", "2.0", 1.0),
        ("small", "eu-west", "2.1", 0.9),
        ("small", "eu-west", "2.0", 0.1),
    ]
    assert manifest.revoked_rows() == [("small", "1.9")]


def test_the_example_that_ships_is_a_manifest() -> None:
    """The example names something of every kind, wants and revokes."""
    manifest = load_manifest(EXAMPLE)
    assert [kind for kind, names in manifest.names().items() if not names] == []
    assert manifest.wanted_rows() != []
    assert manifest.revoked_rows() != []


def test_it_comes_back_from_json(tmp_path: Path) -> None:
    """What is kept of a manifest, which is JSON without what is left out, is the same manifest."""
    manifest = load(tmp_path, TEXT)
    assert Manifest.model_validate_json(manifest.model_dump_json(exclude_defaults=True)) == manifest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param('"m2"', '"m3"', {("mirror", "m2"), ("mirror", "m3")}, id="a name"),
        pytest.param("abcdef", "abcdee", {("version", "small", "2.1")}, id="a digest"),
        pytest.param("share = 0.9", "share = 0.89999999", {("wanted", "small", "2.1", "eu-west")}, id="a share"),
        pytest.param('["1.9"]', '["1.9", "1.8"]', {("revoked", "small", "1.8")}, id="a revocation"),
        pytest.param('"eu-north", "eu-west"', '"eu-west", "eu-north"', set(), id="the order says nothing"),
    ],
)
def test_facts_tell_two_manifests_apart(tmp_path: Path, old: str, new: str, said: set[tuple[str, ...]]) -> None:
    """Two manifests have different facts exactly in what they say differently."""
    assert old in TEXT
    changed = TEXT.replace(old, new)
    before = load(tmp_path, TEXT).facts()
    after = load(
        tmp_path, changed if "0.90000001" not in new else changed.replace("share = 0.1", "share = 0.05")
    ).facts()
    differing = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert differing - {("wanted", "small", "2.0", "eu-west")} == said


def test_nothing_may_be_wanted_of_a_revoked_version(tmp_path: Path) -> None:
    """An entry may say that a region is to have none of a version that is revoked."""
    text = TEXT.replace('version = "2.0"\nshare = 0.1', 'version = "1.9"\nshare = 0')
    assert ("small", "eu-west", "1.9", 0.0) in load(tmp_path, text).wanted_rows()


def test_names_with_blanks_are_not_run_together(tmp_path: Path) -> None:
    """A version `b c` of model `a` is told from a version `c` of model `a b`."""
    one = load(tmp_path, '[[models]]\nname = "a"\nversions = [{version = "b c"}]')
    other = load(tmp_path, '[[models]]\nname = "a b"\nversions = [{version = "c"}]')
    assert one.facts() != other.facts()


BROKEN = [
    pytest.param('sites = ["harbour"]', "sites = [harbour]", "not TOML", "syntax", id="not TOML"),
    pytest.param("sites =", "site =", "site: Extra inputs", "did you mean sites?", id="a key that does not exist"),
    pytest.param(
        'revoked = ["1.9"]',
        'revokd = ["1.9"]',
        "models.0.revokd: Extra",
        "did you mean revoked?",
        id="a key of a model",
    ),
    pytest.param("share = 0.9", "shar = 0.9", "wanted.1.shar: Extra", "did you mean share?", id="a key of an entry"),
    pytest.param("share = 0.9\n", "\n", "wanted.1.share: Field required", "add the key", id="a share left out"),
    pytest.param('name = "large"\n', "\n", "models.1.name: Field required", "add the key", id="a model without a name"),
    pytest.param(
        "digest =", "hash =", "versions.1.hash: Extra", "known: digest, version", id="a key in an inline table"
    ),
    pytest.param("sha256:0123456789abcdef", "0123456789abcdef", "versions.1.digest", "docs", id="no algorithm"),
    pytest.param('{version = "2.0"}', "{version = 2.0}", "valid string", "docs", id="a version that is a number"),
    pytest.param(
        "share = 0.9", 'share = "0.9"', "share: Input should be a valid number", "docs", id="a share in quotes"
    ),
    pytest.param("share = 0.9", "share = 1.1", "less than or equal to 1", "docs", id="more than all devices"),
    pytest.param("share = 0.9", "share = -0.1", "greater than or equal to 0", "docs", id="fewer than none"),
    pytest.param("share = 0.9", "share = nan", "finite number", "docs", id="no number"),
    pytest.param("share = 0.1", "share = 0.2", "of eu-west come to 1.1", "1 at most", id="shares of a region"),
    pytest.param(
        'version = "2.1"\nshare', 'version = "2.2"\nshare', "2.2 is no version of small", "2.1 or 2.0?", id="a version"
    ),
    pytest.param(
        'version = "2.1"\nshare', 'version = "1.9"\nshare', "1.9 is revoked", "want another", id="a revoked one"
    ),
    pytest.param('region = "*"', 'region = "eu-nort"', "no region eu-nort", "did you mean eu-north", id="a region"),
    pytest.param('["1.9"]', '["1.9", "1.9"]', "models.0.revoked.1: 1.9 is there twice", "remove", id="revoked twice"),
    pytest.param('"m1", "m2"', '"m1", "m1"', "mirrors.1: m1 is there twice", "remove", id="a mirror twice"),
    pytest.param(
        'name = "large"', 'name = "small"', "models.1.name: small is there twice", "remove", id="a model twice"
    ),
    pytest.param(
        '{version = "2.0"}',
        '{version = "2.1"}',
        "models.0.versions.1: 2.1 is there twice",
        "remove",
        id="a version twice",
    ),
    pytest.param(
        'version = "2.0"\nshare = 0.1',
        'version = "2.1"\nshare = 0.1',
        "2.1 in eu-west is there twice",
        "remove",
        id="an entry twice",
    ),
    pytest.param('"harbour"', '"other"', "sites.0: 'other' says", "docs", id="what unknown names become"),
    pytest.param('"harbour"', '"Other"', "sites.0: 'Other' says", "docs", id="in any case"),
    pytest.param('"harbour"', '"none"', "sites.0: 'none' says", "docs", id="what missing names read"),
    pytest.param('"harbour"', '"*"', "sites.0: * stands for all", "docs", id="the sign for all"),
    pytest.param('"harbour"', '""', "sites.0: String should have at least 1", "docs", id="empty"),
    pytest.param('"harbour"', '"a\\tb"', "sites.0: a name is printable ASCII", "docs", id="a tab"),
    pytest.param('"harbour"', '" a"', "sites.0: a name is printable ASCII", "docs", id="a blank in front"),
    pytest.param('"harbour"', '"Gerät"', "sites.0: a name is printable ASCII", "docs", id="not ASCII"),
    pytest.param('"harbour"', '"a,b"', "sites.0: a name has no comma", "docs", id="a comma"),
    pytest.param(
        '"harbour"', f'"{"a" * (MAX_NAME + 1)}"', "sites.0: String should have at most", "docs", id="too long"
    ),
]


@pytest.mark.parametrize(("old", "new", "problem", "fix"), BROKEN)
def test_refuses(tmp_path: Path, old: str, new: str, problem: str, fix: str) -> None:
    """Whatever is not understood in full, or contradicts itself, is refused near its line, with a way out."""
    assert old in TEXT
    findings = findings_of(tmp_path, TEXT.replace(old, new, 1))
    found = next((one for one in findings if problem in one.problem and fix in one.fix), None)
    assert found is not None, [str(finding) for finding in findings]
    begun = TEXT[: TEXT.index(old)].count("\n") + 1
    assert abs(found.line - begun) <= 5


def test_lines_of_entries_of_several_models(tmp_path: Path) -> None:
    """A mistake in an entry is told at the line of that entry, whichever model it belongs to."""
    text = TEXT + '\n[[models.wanted]]\nregion = "*"\nversion = "6"\nshare = 1.0\n'
    [finding] = findings_of(tmp_path, text)
    assert "models.1.wanted.0.version: 6 is no version of large" in finding.problem
    assert text.splitlines()[finding.line - 1] == 'version = "6"'


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Two contradictions in one file are two findings."""
    text = TEXT.replace("share = 0.1", "share = 0.2").replace('"m1", "m2"', '"m1", "m1"')
    assert len(findings_of(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "it names nothing", id="empty"),
        pytest.param("regions = []", "it names nothing", id="empty lists"),
        pytest.param(b'sites = [\n"Ger\xe4t"]', "not UTF-8", id="another encoding"),
        pytest.param(b"#" * (MAX_BYTES + 1), "more than 1,048,576 bytes", id="another file by mistake"),
        pytest.param(f"sites = {[f's{n}' for n in range(5_001)]}", "at most 5000 items", id="a list without end"),
    ],
)
def test_refuses_the_whole_file(tmp_path: Path, text: str | bytes, problem: str) -> None:
    """A file that cannot be a manifest at all is refused by one finding."""
    [finding] = findings_of(tmp_path, text)
    assert problem in finding.problem


def test_a_file_of_another_kind_is_refused_in_few_words(tmp_path: Path) -> None:
    """However much is wrong, no more is told than a person reads."""
    assert len(findings_of(tmp_path, "\n".join(f"key{n} = 1" for n in range(500)))) == MAX_FINDINGS


@pytest.mark.parametrize(
    ("shares", "taken"),
    [
        pytest.param([0.1] * 10, True, id="ten tenths come to more than 1 in binary"),
        pytest.param([0.333333333] * 3, True, id="three thirds"),
        pytest.param([0.3333333334] * 3, True, id="three thirds, rounded up"),
        pytest.param([0.5, 0.500001], False, id="a millionth too much"),
        pytest.param([0.2], True, id="less than all"),
        pytest.param([0, 0], True, id="nothing is wanted"),
    ],
)
def test_shares_of_a_region(shares: list[float], *, taken: bool) -> None:
    """The shares of a region come to one at most, but for the rounding of numbers."""
    versions = [{"version": str(place)} for place in range(len(shares))]
    wanted = [{"region": "*", "version": str(place), "share": share} for place, share in enumerate(shares)]
    document = {"models": [{"name": "a", "versions": versions, "wanted": wanted}]}
    if taken:
        assert [row[3] for row in Manifest.model_validate(document).wanted_rows()] == shares
    else:
        with pytest.raises(ValidationError, match="come to"):
            Manifest.model_validate(document)


@given(st.text(max_size=MAX_NAME + 2))
def test_no_name_but_a_plain_one_is_taken(name: str) -> None:
    """Whatever the text, a name is taken exactly if it is short, printable ASCII, in one piece and no reserved word."""
    plain = name.isascii() and name.isprintable() and name == " ".join(name.split(" ")) and "  " not in name
    whole = 0 < len(name) <= MAX_NAME and name == name.strip() and "," not in name
    try:
        manifest = Manifest.model_validate({"sites": [name]})
    except ValidationError:
        assert not (plain and whole and name.lower() not in ("other", "none", "*"))
    else:
        assert manifest.names()["site"] == {name.encode()}
        assert plain
        assert whole
