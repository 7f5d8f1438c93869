"""The project's Markdown pages as tests read them: links, fenced blocks, tables, names in backticks.

Only the Markdown that the pages use: `#` headings, tables with a ruled head, blocks fenced by three backticks, inline
links. A page is read from the tree, so a page that is added is checked without anybody listing it.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
CELL_BORDER = re.compile(r"(?<!\\)\|")
RULE = re.compile(r"^\|[ :|-]+\|$")


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file; `path` is relative to the root, with forward slashes."""

    path: str
    text: str

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return FENCE.sub("", self.text)

    @property
    def code(self) -> list[str]:
        """Everything in backticks within a line."""
        return [" ".join(found.split()) for found in CODE.findall(self.prose)]

    @property
    def links(self) -> list[str]:
        """The targets of inline links."""
        return [match["target"] for match in LINK.finditer(CODE.sub("", self.prose))]

    @property
    def anchors(self) -> set[str]:
        """What may follow `#` in a link to this page, as GitHub makes it of a heading."""
        titles = (match["title"].replace("`", "") for match in HEADING.finditer(self.prose))
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    def blocks(self, *languages: str) -> list[str]:
        """The fenced blocks of these languages, without the indentation of a list."""
        found = FENCE.finditer(self.text)
        return [textwrap.dedent(match["body"]) for match in found if match["language"] in languages]

    def table(self, *head: str) -> list[dict[str, str]]:
        """The rows of the only table with this head; raises LookupError where there is none, or more than one."""
        found = self.tables(*head)
        if len(found) != 1:
            raise LookupError(f"{self.path} has {len(found)} tables with the columns {', '.join(head)}")
        return found[0]

    def tables(self, *head: str) -> list[list[dict[str, str]]]:
        """The rows of every table with this head, in order."""
        return [
            [dict(zip(head, cells(line), strict=True)) for line in lines[2:]]
            for lines in self._tables()
            if cells(lines[0]) == list(head)
        ]

    def _tables(self) -> Iterator[list[str]]:
        """The lines of each table, head and rule included."""
        for part in re.split(r"\n(?!\|)", self.prose):
            lines = [line for line in part.splitlines() if line.startswith("|")]
            if len(lines) > 1 and RULE.match(lines[1]):
                yield lines


def cells(line: str) -> list[str]:
    """The cells of a table's line."""
    return [cell.strip() for cell in CELL_BORDER.split(line.strip())[1:-1]]


def bare(cell: str) -> str:
    """A cell's text without backticks."""
    return cell.replace("`", "")


def page(path: str) -> Page:
    """One page by its path from the root."""
    return Page(path, (ROOT / path).read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """Every Markdown file at the top of the tree and below `docs`."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [page(file.relative_to(ROOT).as_posix()) for file in sorted(files)]
