"""The house rules that a reader of one file cannot see, held over all of them.

A rule is a pure function from one source file to what is wrong with it. Each is shown a tiny bad example first, so that
a scan that finds nothing because it looks at nothing fails here.
"""

import ast
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT: dict[str, frozenset[str]] = {
    "schemas": frozenset(),
    "ingest": frozenset({"schemas"}),
    "aggregators": frozenset({"schemas", "ingest"}),
    "reporter": frozenset({"schemas"}),
    "load": frozenset({"schemas", "ingest", "aggregators", "reporter"}),
    "tidegate": frozenset({"schemas", "ingest", "aggregators", "reporter", "load"}),
}
"""What each package may import of the others. Nothing may import `tidegate`."""

AGGREGATORS_ROOMS = ("rollups", "sealing", "following", "publication", "repair", "answering")
"""The rooms of `aggregators` in the order in which data goes through them; each imports from those before."""

REPORTER_NEEDS = frozenset({"fastavro"})
"""The only thing to install on a device."""

BUILT_IN: dict[str, frozenset[str]] = {
    "StrippedReport": frozenset({"ingest/strip.py"}),
    "Entry": frozenset({"ingest/records.py", "ingest/log/stored.py"}),
}
"""Class -> the modules that may construct it. What the log holds went through the strip: there is no other way."""

MAX_LINES = 400
VAGUE_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"})
TOOL_COMMENTS = re.compile(r"#\s*(noqa|type: ignore|pragma)[^#]*")
SENTENCE_BORDER = re.compile(r"[.!?][\"'`)]*\s+[\"'`(]*[A-Z]")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: `path` is relative to the root, with forward slashes."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        return PurePosixPath(self.path).parts[0]


Rule = Callable[[Source], Iterator[str]]


def sources(*folders: str) -> list[Source]:
    """Every Python file below the folders that exist."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions and `import_module("...")` included."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            case ast.ImportFrom():
                yield node.lineno, "." * node.level
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name


def import_direction(source: Source) -> Iterator[str]:
    """Imports of a package that this one must not know, and relative ones, which hide where they lead."""
    allowed = MAY_IMPORT[source.package] | {source.package}
    for line, name in imports(source.tree):
        root = name.partition(".")[0]
        if not root:
            yield f"{source.path}:{line}: relative import; write the absolute name"
        elif root in MAY_IMPORT and root not in allowed:
            yield f"{source.path}:{line}: {source.package} must not import {root}"


def rooms_in_order(source: Source) -> Iterator[str]:
    """Imports of a room of `aggregators` by an earlier one, or by what all rooms stand on."""
    package, *folders = PurePosixPath(source.path).parent.parts
    if package != "aggregators":
        return
    later = AGGREGATORS_ROOMS[AGGREGATORS_ROOMS.index(folders[0]) + 1 :] if folders else AGGREGATORS_ROOMS
    for line, name in imports(source.tree):
        match name.split("."):
            case ["aggregators", room, *_] if room in later:
                yield f"{source.path}:{line}: what lies before aggregators/{room} must not import it"


def reporter_stays_small(source: Source) -> Iterator[str]:
    """Imports that a device would have to install, and code of `schemas`, of which the reporter reads only the data."""
    if source.package != "reporter":
        return
    for line, name in imports(source.tree):
        root = name.partition(".")[0]
        known = root in sys.stdlib_module_names or root in REPORTER_NEEDS or root == "reporter"
        if not known and name != "schemas":
            yield f"{source.path}:{line}: the reporter imports {name}; it may use the standard library and fastavro"


def built_in_one_place(source: Source) -> Iterator[str]:
    """Constructions and subclasses of the classes that only one module may build, under an alias as well."""
    tree = source.tree
    for name, modules in BUILT_IN.items():
        if source.path not in modules:
            yield from (
                f"{source.path}:{line}: {name} is built only in {', '.join(sorted(modules))}"
                for line in constructions(tree, name)
            )


def constructions(tree: ast.Module, name: str) -> Iterator[int]:
    """Lines that call the class `name` or derive from it."""
    aliases = {name} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == name and alias.asname
    }

    def is_it(node: ast.expr) -> bool:
        return (isinstance(node, ast.Name) and node.id in aliases) or (
            isinstance(node, ast.Attribute) and node.attr == name
        )

    for node in ast.walk(tree):
        match node:
            case ast.Call(func=called) if is_it(called):
                yield node.lineno
            case ast.ClassDef(bases=bases) if any(is_it(base) for base in bases):
                yield node.lineno


def short_enough(source: Source) -> Iterator[str]:
    """Files that have grown past the limit and so hold two things."""
    lines = len(source.text.splitlines())
    if lines > MAX_LINES:
        yield f"{source.path}: {lines} lines; split it (at most {MAX_LINES})"


def named_for_what_it_holds(source: Source) -> Iterator[str]:
    """Modules and folders whose name says nothing about what is in them."""
    parts = PurePosixPath(source.path).with_suffix("").parts
    for part in VAGUE_NAMES & set(parts):
        yield f"{source.path}: {part} says nothing; name it for what it holds"


def opens_with_docstring(source: Source) -> Iterator[str]:
    """Modules without a docstring."""
    if not ast.get_docstring(source.tree):
        yield f"{source.path}:1: no module docstring"


def comments(text: str) -> dict[int, str]:
    """Line -> what its comment says to a person, once the marks for tools are taken off."""
    tokens = tokenize.generate_tokens(StringIO(text).readline)
    return {
        token.start[0]: TOOL_COMMENTS.sub("", token.string).strip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def broad_except_is_explained(source: Source) -> Iterator[str]:
    """Bare excepts, and handlers of every exception with no reason on their line or the line above."""
    said = comments(source.text)
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            yield f"{source.path}:{node.lineno}: bare except"
        elif catches_everything(node.type) and not (said.get(node.lineno) or said.get(node.lineno - 1)):
            yield f"{source.path}:{node.lineno}: catches every exception and does not say why"


def catches_everything(caught: ast.expr) -> bool:
    """Whether the expression after `except` names Exception or BaseException."""
    return any(isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in ast.walk(caught))


def one_sentence_per_test(source: Source) -> Iterator[str]:
    """Test functions whose docstring is missing, or is more than one sentence."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        sentence = " ".join((ast.get_docstring(node) or "").split())
        if not sentence:
            yield f"{source.path}:{node.lineno}: {node.name} has no docstring"
        elif SENTENCE_BORDER.search(sentence):
            yield f"{source.path}:{node.lineno}: the docstring of {node.name} is more than one sentence"


IN_PACKAGES: tuple[Rule, ...] = (import_direction, rooms_in_order, reporter_stays_small, built_in_one_place)
IN_TESTS: tuple[Rule, ...] = (one_sentence_per_test,)
EVERYWHERE: tuple[Rule, ...] = (
    short_enough,
    named_for_what_it_holds,
    opens_with_docstring,
    broad_except_is_explained,
)


@pytest.mark.parametrize("rule", [*IN_PACKAGES, *EVERYWHERE])
def test_packages_keep_the_rule(rule: Rule) -> None:
    """Every module of every package that exists keeps the rule."""
    assert [finding for source in sources(*MAY_IMPORT) for finding in rule(source)] == []


@pytest.mark.parametrize("rule", [*IN_TESTS, *EVERYWHERE])
def test_tests_keep_the_rule(rule: Rule) -> None:
    """Every module of the tests keeps the rule."""
    assert [finding for source in sources("tests") for finding in rule(source)] == []


def test_the_scan_sees_the_tree() -> None:
    """The scan reads the packages and the tests, this file among them, and no other folder."""
    seen = {source.path for source in sources(*MAY_IMPORT, "tests")}
    assert {"schemas/__init__.py", "ingest/report.py", "tidegate/__init__.py", "tests/test_architecture.py"} <= seen
    assert all((ROOT / path).is_file() for path in seen)


BAD = [
    pytest.param(import_direction, "schemas/a.py", "import ingest.report", id="schemas knows nobody"),
    pytest.param(import_direction, "ingest/a.py", "from aggregators import follow", id="against the stream"),
    pytest.param(import_direction, "ingest/a.py", "def f():\n    import tidegate.cli", id="hidden in a function"),
    pytest.param(import_direction, "load/a.py", "from tidegate import settings", id="nothing imports tidegate"),
    pytest.param(import_direction, "ingest/a.py", "importlib.import_module('tidegate.cli')", id="by its name"),
    pytest.param(import_direction, "ingest/a.py", "from . import report", id="relative"),
    pytest.param(import_direction, "reporter/a.py", "import ingest", id="the gate's code on a device"),
    pytest.param(
        rooms_in_order, "aggregators/rollups/a.py", "from aggregators.sealing.seal import Seals", id="an earlier room"
    ),
    pytest.param(rooms_in_order, "aggregators/a.py", "from aggregators.rollups import load", id="what rooms stand on"),
    pytest.param(reporter_stays_small, "reporter/a.py", "import httpx", id="something to install on a device"),
    pytest.param(reporter_stays_small, "reporter/a.py", "from schemas.plan import Plan", id="code, not data"),
    pytest.param(built_in_one_place, "ingest/app.py", "StrippedReport(plan, i, b, ())", id="built past the strip"),
    pytest.param(built_in_one_place, "ingest/app.py", "report.StrippedReport(plan)", id="through its module"),
    pytest.param(
        built_in_one_place, "load/a.py", "from ingest.report import Entry as Row\nRow('t', b'', b'', 0)", id="an alias"
    ),
    pytest.param(built_in_one_place, "ingest/app.py", "class Mine(StrippedReport): ...", id="a subclass"),
    pytest.param(built_in_one_place, "ingest/strip.py", "Entry('t', b'', b'', 0)", id="each class has its own place"),
    pytest.param(short_enough, "ingest/a.py", "x = 1\n" * (MAX_LINES + 1), id="one line too many"),
    pytest.param(named_for_what_it_holds, "ingest/utils.py", "", id="a file"),
    pytest.param(named_for_what_it_holds, "ingest/common/a.py", "", id="a folder"),
    pytest.param(opens_with_docstring, "ingest/a.py", "x = 1", id="none"),
    pytest.param(opens_with_docstring, "ingest/a.py", "# a comment", id="a comment is none"),
    pytest.param(broad_except_is_explained, "a.py", "try: ...\nexcept: ...  # because", id="bare, whatever is said"),
    pytest.param(broad_except_is_explained, "a.py", "try: ...\nexcept Exception: ...", id="nothing said"),
    pytest.param(broad_except_is_explained, "a.py", "try: ...\nexcept (OSError, BaseException): ...", id="in a tuple"),
    pytest.param(
        broad_except_is_explained, "a.py", "try: ...\nexcept Exception: ...  # noqa: BLE001", id="said to a tool only"
    ),
    pytest.param(one_sentence_per_test, "tests/a.py", "def test_a(): ...", id="none"),
    pytest.param(one_sentence_per_test, "tests/a.py", "async def test_a():\n    '''One. Two.'''", id="two"),
    pytest.param(one_sentence_per_test, "tests/a.py", "class A:\n    def test_a(self): ...", id="in a class"),
]

GOOD = [
    pytest.param(import_direction, "ingest/a.py", "import json\nfrom schemas.plan import Plan", id="with the stream"),
    pytest.param(rooms_in_order, "aggregators/repair/a.py", "from aggregators.rollups import load", id="a later room"),
    pytest.param(import_direction, "tidegate/a.py", "import load.fleet", id="the command line may start the fleet"),
    pytest.param(reporter_stays_small, "reporter/a.py", "import json, fastavro, schemas", id="what a device has"),
    pytest.param(reporter_stays_small, "ingest/a.py", "import httptools", id="the rule is the reporter's"),
    pytest.param(built_in_one_place, "ingest/strip.py", "StrippedReport(plan, i, b, ())", id="the one place"),
    pytest.param(built_in_one_place, "ingest/app.py", "def f(e: Entry) -> StrippedReport: ...", id="naming a type"),
    pytest.param(built_in_one_place, "ingest/app.py", "StoredEntry(0, entry)", id="another class"),
    pytest.param(short_enough, "ingest/a.py", "x = 1\n" * MAX_LINES, id="exactly the limit"),
    pytest.param(named_for_what_it_holds, "ingest/commonplace.py", "", id="a longer word"),
    pytest.param(opens_with_docstring, "ingest/a.py", "'''Rules.'''", id="has one"),
    pytest.param(broad_except_is_explained, "a.py", "try: ...\nexcept OSError: ...", id="a narrow one"),
    pytest.param(
        broad_except_is_explained, "a.py", "try: ...\nexcept Exception: ...  # noqa: BLE001  # the rim", id="same line"
    ),
    pytest.param(
        broad_except_is_explained, "a.py", "try: ...\n# The rim of the app.\nexcept Exception: ...", id="line above"
    ),
    pytest.param(one_sentence_per_test, "tests/a.py", "def test_a():\n    '''Version 1.5 of v.1 holds.'''", id="one"),
    pytest.param(one_sentence_per_test, "tests/a.py", "def reports(): ...", id="not a test"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_rule_finds_the_bad_example(rule: Rule, path: str, text: str) -> None:
    """A rule finds exactly one thing wrong with an example that breaks it once."""
    assert len(list(rule(Source(path, text)))) == 1


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_rule_passes_the_good_example(rule: Rule, path: str, text: str) -> None:
    """A rule finds nothing wrong with an example that keeps it."""
    assert list(rule(Source(path, text))) == []
