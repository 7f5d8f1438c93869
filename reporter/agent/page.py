"""Plain text for a terminal: facts, tables, times, long lists, bytes. Nothing but the standard library is at hand."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

WIDTH = 100
BYTES_PER_LINE = 16


def facts(told: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Names beside what there is to say of each, in lines of `WIDTH`."""
    told = list(told)
    indent = max((len(name) for name, _ in told), default=0) + 2
    for name, text in told:
        lines = textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False) or [""]
        yield f"{name:<{indent}}{lines[0]}".rstrip()
        yield from (" " * indent + line for line in lines[1:])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as what is in them."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()


def time(at_ms: int) -> str:
    """A time to the minute, UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def number(of: int, what: str) -> str:
    """So many of something."""
    return f"{of:,} {what}" if of == 1 else f"{of:,} {what}s"


def hexdump(content: bytes) -> Iterator[str]:
    """Bytes as `hexdump -C` shows them."""
    for at in range(0, len(content), BYTES_PER_LINE):
        line = content[at : at + BYTES_PER_LINE]
        text = "".join(chr(byte) if " " <= chr(byte) <= "~" else "." for byte in line)
        yield f"{at:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  |{text}|"
