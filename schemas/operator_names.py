"""What may be a name in the operator's documents, and the form in which two of them are compared.

Names of the manifest are the only words that pass the gate as they stand, so they are short and plain. None of them may
be a word that stands for something else: `other` for every name that is not known, `none` for a missing one in an
answer, `*` for all names.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_NAME = 64
"""Characters; the longest names of models in public use have about 50."""

ANY = "*"
RESERVED = frozenset({"other", "none"})
PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")

Facts = Mapping[tuple[str, ...], str]
"""What a document says, one thing an entry: what it is about, and what it says of that ("" where the name is all)."""


def _plain(name: str) -> str:
    if not PLAIN.fullmatch(name):
        raise ValueError("a name is printable ASCII, with single blanks inside at most")
    if "," in name:  # a question puts commas between the names that it asks for
        raise ValueError("a name has no comma, which stands between names in a question")
    if name.lower() in RESERVED:
        raise ValueError(f"{name!r} says in answers that a name is not known or missing; choose another name")
    return name


def _not_any(name: str) -> str:
    if name == ANY:
        raise ValueError("* stands for all names; choose another name")
    return name


NameOrAny = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_plain)]
Name = Annotated[NameOrAny, AfterValidator(_not_any)]
