"""How a command lays out what it prints: a page of text for a terminal, and the same words when it is piped.

Rules: nothing is ever cut off, only wrapped; square brackets in a path are brackets and no markup; colour says nothing
that a word does not say as well.
"""

import os
import textwrap
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 120
"""Columns where there is no terminal to ask and COLUMNS says nothing."""

WIDE = 132
"""From this many columns on a table has room for a column of every property."""

ACTION_STYLES = {"keep": "green", "drop": "red", "coarsen": "yellow", "pseudonymise": "magenta"}


def page() -> Console:
    """The console that a command prints on."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = PIPE_WIDTH
    return console


def columns(*names: str) -> Table:
    """An empty table of these columns, ruled under its head and nowhere else."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def facts(pairs: dict[str, Any]) -> Table:
    """Names and what they are, one pair a line; what is None is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            grid.add_row(name, value if isinstance(value, Text) else str(value))
    return grid


def action(name: str) -> Text:
    """The name of an action, in its colour."""
    return Text(name, style=ACTION_STYLES.get(name, ""))


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """`text` in lines of at most `width` columns; a word that is longer stays whole."""
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
