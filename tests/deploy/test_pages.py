"""docs/deploy.md and docs/alarms.md: what is to be typed there exists."""

from collections.abc import Iterator

import pytest

from tests.deploy.compose_file import COMPOSE_FILE, VARIABLE, services
from tests.documents import Page, bare, page
from tests.test_docs import CommandLine, simple_commands, wrong_with

PAGES = [pytest.param(page(path), id=path) for path in ("docs/deploy.md", "docs/alarms.md")]
COMPOSE = ("docker", "compose", "-f", "deploy/compose.yaml")
IN_A_CONTAINER = {"exec": (), "run": ("--rm", "--no-deps")}
"""Commands of Compose behind which a command of ours may stand, with the options that the pages give them."""

OF_COMPOSE = {*IN_A_CONTAINER, "build", "up", "ps", "logs", "kill", "stop", "start", "restart", "cp"}


def compose_commands(one: Page) -> Iterator[tuple[str, ...]]:
    """What follows `docker compose -f deploy/compose.yaml` on a page, in blocks and in sentences."""
    texts = [*one.blocks("sh"), *(code for code in one.code if code.startswith("docker "))]
    for text in texts:
        for line in simple_commands(text, whole=True):
            if line.words[:4] == COMPOSE and len(line.words) > 4:
                yield line.words[4:]


@pytest.mark.parametrize("one", PAGES)
def test_commands_of_compose_name_services(one: Page) -> None:
    """Every command names a command of Compose and services that there are; ours behind it is one that click takes."""
    found = list(compose_commands(one))
    assert found
    assert [wrong for words in found for wrong in _wrong(list(words))] == []


def _wrong(words: list[str]) -> Iterator[str]:
    command, rest = words[0], words[1:]
    if command not in OF_COMPOSE:
        yield f"{command} is no command of Compose that is used here"
    if command not in IN_A_CONTAINER:
        return
    while rest and rest[0] in IN_A_CONTAINER[command]:
        rest = rest[1:]
    if not rest:
        return
    service, *inner = rest
    if service not in services():
        yield f"there is no service {service}"
    # `run` gives the image's entry point its arguments, `exec` a whole command.
    ours = ["tidegate", *inner] if command == "run" else inner
    if ours[:1] == ["tidegate"] and (said := wrong_with(CommandLine(tuple(ours), whole=True))):
        yield f"{' '.join(words)}: {said}"


def test_every_variable_of_the_compose_file_is_explained() -> None:
    """The table of variables has those of the compose file, and no other."""
    rows = page("docs/deploy.md").table("variable of `deploy/.env`", "default", "meaning")
    used = {match["name"] for match in VARIABLE.finditer(COMPOSE_FILE.read_text(encoding="utf-8"))}
    assert {bare(row["variable of `deploy/.env`"]) for row in rows} == used


def test_every_service_is_explained() -> None:
    """The table of services has those of the compose file, and no other."""
    rows = page("docs/deploy.md").table("service", "does", "reachable by")
    assert {bare(row["service"]) for row in rows} == set(services())
