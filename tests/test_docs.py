"""What the pages refer to exists: links and anchors, files, commands and their options, make targets, names.

Every Markdown file is looked at, so a page that is added is held to this without anybody listing it.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from reporter.agent.command import parser
from reporter.agent.refused import WrongUsage
from tests.documents import ROOT, Page, page, pages
from tests.names import PATTERNS, is_of_a_library, known_names
from tidegate.cli import main

PAGES = [pytest.param(one, id=one.path) for one in pages()]

SHELL = ("sh", "bash", "console", "shell")
OPERATORS = frozenset({"|", "||", "&&", ";", "&", "(", ")"})
SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
PLACEHOLDER = re.compile(r"<[a-z _-]+>")
ELLIPSIS = re.compile(r"(…|\.\.\.)")

FILE_NAMED = re.compile(
    r"(?<![\w/])(?:docs|schemas|ingest|aggregators|reporter|tidegate|load|tests|deploy)(?:/[\w.-]+)+\.(?:md|py|toml|avsc|sql)"
)
DOCUMENT_NAMED = re.compile(r"\bdocs/[\w/-]+\.md\b")
TARGET = re.compile(r"^(?P<name>[a-z][a-z-]*):", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A simple command as a page writes it; `whole` if it is meant to be typed as it stands."""

    words: tuple[str, ...]
    whole: bool


def simple_commands(text: str, *, whole: bool) -> Iterator[CommandLine]:
    """The simple commands of a shell text: pipelines taken apart, assignments and redirections off."""
    text = PLACEHOLDER.sub("X", text.replace("\\\n", " "))
    while found := SUBSTITUTION.search(text):
        yield from simple_commands(found[1], whole=whole)
        text = text[: found.start()] + "X" + text[found.end() :]
    for line in text.splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        yield from _split(list(lexer), whole=whole)


def _split(words: list[str], *, whole: bool) -> Iterator[CommandLine]:
    command: list[str] = []
    for word in [*words, ";"]:
        if word in OPERATORS:
            if command:
                yield CommandLine(tuple(_without_redirections(command)), whole)
            command = []
        elif command or not re.match(r"[A-Z_]+=", word):
            command.append(word)


def _without_redirections(words: list[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in (">", ">>", "<"):
            next(rest, None)
        else:
            yield word


def commands_of(one: Page) -> Iterator[CommandLine]:
    """Every command of a page: those to be typed, and those that a sentence mentions."""
    for block in one.blocks(*SHELL):
        yield from simple_commands(block, whole=True)
    for code in one.code:
        if code.startswith(("tidegate ", "make ")):
            yield from simple_commands(ELLIPSIS.sub("", code), whole=False)


def wrong_with(line: CommandLine) -> str | None:
    """What click would say against a command line of ours, values of files and times aside; None if nothing."""
    command: click.Command = main
    words = list(line.words[1:])
    if words[:1] == ["agent"]:
        return _wrong_with_agent(words[1:], whole=line.whole)
    context = click.Context(command, info_name="tidegate")
    try:
        while isinstance(command, click.Group) and words:
            _, words, _ = command.make_parser(context).parse_args(words)
            if not words:
                break
            found = command.get_command(context, words[0])
            if found is None:
                return f"there is no command {words[0]}"
            command, words = found, words[1:]
            context = click.Context(command, parent=context, info_name=command.name)
        return _wrong_arguments(command, context, words, whole=line.whole)
    except click.UsageError as error:
        return error.format_message()


def _wrong_with_agent(words: list[str], *, whole: bool) -> str | None:
    """What the agent's own command line says against these words; a sentence may leave arguments away."""
    try:
        parser("tidegate agent").parse_args(words)
    except WrongUsage as wrong:
        return str(wrong) if whole or "required" not in str(wrong) else None
    return None


def _wrong_arguments(command: click.Command, context: click.Context, words: list[str], *, whole: bool) -> str | None:
    given, extra, _ = command.make_parser(context).parse_args(words)
    if extra:
        return f"too many arguments: {' '.join(extra)}"
    for parameter in command.params:
        value = given.get(parameter.name or "")
        missing = not isinstance(value, (str, list, tuple, bool))
        if missing and whole and parameter.required and parameter.envvar is None:
            return f"{parameter.name} is missing"
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)
    return None


@pytest.mark.parametrize("one", PAGES)
def test_links_lead_somewhere(one: Page) -> None:
    """Every relative link of a page leads to a file that exists, and to a heading of it if it names one."""
    assert list(_broken_links(one)) == []


def _broken_links(one: Page) -> Iterator[str]:
    for target in one.links:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / one.path).parent / name if name else ROOT / one.path
        if not file.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in page(file.resolve().relative_to(ROOT).as_posix()).anchors:
            yield f"{target}: there is no such heading"


@pytest.mark.parametrize("one", PAGES)
def test_commands_exist(one: Page) -> None:
    """Every `tidegate` command line of a page names a command, options that it has, and values they can take."""
    ours = [line for line in commands_of(one) if line.words[:1] and Path(line.words[0]).name == "tidegate"]
    assert [f"{shlex.join(line.words)}: {wrong}" for line in ours if (wrong := wrong_with(line))] == []


@pytest.mark.parametrize("one", PAGES)
def test_make_targets_exist(one: Page) -> None:
    """Every `make` target that a page names is in the Makefile."""
    targets = {match["name"] for match in TARGET.finditer((ROOT / "Makefile").read_text(encoding="utf-8"))}
    named = {
        word
        for line in commands_of(one)
        if line.words[:1] == ("make",)
        for word in line.words[1:]
        if "=" not in word and not word.startswith("-")
    }
    assert named - targets == set()


@pytest.mark.parametrize("one", PAGES)
def test_files_exist(one: Page) -> None:
    """Every file of the tree that a page names is there."""
    named = {name for code in [*one.code, *one.blocks(*SHELL)] for name in FILE_NAMED.findall(code)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("one", [one for one in PAGES if "/adr/" not in str(one.id)])
def test_names_exist(one: Page) -> None:
    """Every name in backticks that looks like one of ours is one: reasons, events, metrics, settings, fields, keys."""
    # Dated decisions are left out, because they are not rewritten when a name changes.
    known = known_names()
    said = {word for code in one.code for pattern in PATTERNS for word in pattern.findall(code)}
    assert sorted(name for name in said - known if not is_of_a_library(name)) == []


def test_pages_that_the_code_names_exist() -> None:
    """Every page of `docs` that a docstring, a comment, an error or another page names exists."""
    files = [
        file for folder in ("schemas", "ingest", "tidegate", "load", "tests") for file in (ROOT / folder).rglob("*")
    ]
    named = {
        (name, file.relative_to(ROOT).as_posix())
        for file in [*files, *(ROOT / one.path for one in pages())]
        if file.suffix in (".py", ".toml", ".avsc", ".sql", ".md") and file != Path(__file__)
        for name in DOCUMENT_NAMED.findall(file.read_text(encoding="utf-8"))
    }
    assert sorted(found for found in named if not (ROOT / found[0]).exists()) == []


WRONG_COMMANDS = [
    pytest.param("tidegate tokens list", "there is no command tokens", id="misspelt group"),
    pytest.param("tidegate token lst", "there is no command lst", id="misspelt command"),
    pytest.param("tidegate token list --colour", "No such option", id="unknown option"),
    pytest.param("tidegate token rotate --overlap", "requires an argument", id="option without its value"),
    pytest.param("tidegate token revoke a b", "too many arguments", id="one argument too many"),
    pytest.param("tidegate token new --kind person --tier a --label b", "is not one of", id="no such choice"),
    pytest.param("tidegate token new --tier a", "label is missing", id="a required option is missing"),
    pytest.param("tidegate strip managed", "file is missing", id="a required argument is missing"),
    pytest.param("tidegate agent stats", "did you mean status", id="misspelt command of the agent"),
    pytest.param("X=1 tidegate log tail | tidegate log tial > /tmp/x", "there is no command tial", id="in a pipeline"),
    pytest.param('curl -H "$(tidegate token nwe)"', "there is no command nwe", id="in a substitution"),
]


@pytest.mark.parametrize(("text", "said"), WRONG_COMMANDS)
def test_a_wrong_command_is_seen(text: str, said: str) -> None:
    """A command line that click would refuse is told apart from one that it takes."""
    lines = [line for line in simple_commands(text, whole=True) if line.words[0] == "tidegate"]
    assert [wrong for line in lines if (wrong := wrong_with(line))] != []
    assert any(said in (wrong_with(line) or "") for line in lines)


WRONG_PAGES = [
    pytest.param("[a](missing.md)", id="no such file"),
    pytest.param("[a](Makefile.md#x)", id="no such file, with a heading"),
    pytest.param("[a](CONTRIBUTING.md#no-such-heading)", id="no such heading"),
    pytest.param("# A heading\n[a](#a-headin)", id="no such heading on the page itself"),
]


@pytest.mark.parametrize("text", WRONG_PAGES)
def test_a_broken_link_is_seen(text: str) -> None:
    """A link that leads nowhere is told apart from one that leads somewhere."""
    good = Page("CONTRIBUTING.md", "# The `make` targets: all\n[a](#the-make-targets-all) [b](Makefile) [c](http://x)")
    assert len(list(_broken_links(Page("x.md", text)))) == 1
    assert [found for found in _broken_links(good) if "no such file" in found] == []
