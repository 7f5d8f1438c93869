"""A TOML file that an operator writes, read as a pydantic model, or refused with a line and a fix for each mistake.

What a single value cannot show (a name that is said nowhere else, shares that come to more than all) a model's own
validator tells by raising `contradictions(...)`, so that such a mistake has a place and a fix as well.
"""

import tomllib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.errors import ContractError, Finding, nearest, refuse
from schemas.toml_lines import KeyPath, line_of

MAX_BYTES = 1 << 20
"""Twenty times what ten thousand names take: a greater file is something else, given by mistake."""

MAX_FINDINGS = 20
"""What a person reads; a file of another kind has thousands."""

Model = TypeVar("Model", bound=BaseModel)


def load_toml(file: Path, model: type[Model], *, page: str) -> Model:
    """The `model` in `file`; `page` is the document that explains its keys.

    Raises `ContractError`, and OSError where the file cannot be read.
    """
    text, content = read_toml(file)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        details = islice(error.errors(include_url=False, include_input=False), MAX_FINDINGS)
        raise ContractError(
            Finding(str(file), line_of(text, detail["loc"]), _problem(detail), _fix(detail, model, page))
            for detail in details
        ) from None


def read_toml(file: Path) -> tuple[str, dict[str, Any]]:
    """The text of `file` and what it says; raises as `load_toml`."""
    raw = _read(file)
    try:
        text = raw.decode("utf-8")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise refuse(file, "not UTF-8", fix="save the file as UTF-8", line=line) from None
    except tomllib.TOMLDecodeError as error:
        line = _line_in(str(error))
        raise refuse(file, f"not TOML: {error}", fix="correct the syntax there", line=line) from None


def contradictions(model: type[BaseModel], found: Iterable[tuple[KeyPath, str, str]]) -> ValidationError | None:
    """What a validator of `model` raises about (path, problem, fix), each of them; None where there is nothing."""
    errors: list[InitErrorDetails] = [
        {
            "type": PydanticCustomError("contradiction", "{problem}", {"problem": problem, "fix": fix}),
            "loc": path,
            "input": None,
        }
        for path, problem, fix in found
    ]
    return ValidationError.from_exception_data(model.__name__, errors) if errors else None


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise refuse(file, f"more than {MAX_BYTES:,} bytes", fix="look whether this is the file that was meant")
    return raw


def _line_in(message: str) -> int:
    """The line that a message of tomllib names, e.g. `... (at line 3, column 7)`; 0 at the end of the document."""
    digits = message.partition("at line ")[2].partition(",")[0]
    return int(digits) if digits.isdigit() else 0


def _problem(detail: Any) -> str:
    dotted = ".".join(str(part) for part in detail["loc"])
    return f"{dotted or 'the file'}: {detail['msg'].removeprefix('Value error, ')}"


def _fix(detail: Any, model: type[BaseModel], page: str) -> str:
    match detail["type"]:
        case "contradiction":
            return str(detail["ctx"]["fix"])
        case "extra_forbidden":
            *path, key = detail["loc"]
            return f"remove it, or {nearest(str(key), _keys(_model_at(model, path)))}"
        case "missing":
            return f"add the key; {page} has an example"
    return f"see {page} for what this key may hold"


def _keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_at(model: type[BaseModel], path: Iterable[int | str]) -> type[BaseModel]:
    """The model of the table at `path`, as far as it leads."""
    for part in path:
        info = next((info for name, info in model.model_fields.items() if (info.alias or name) == part), None)
        inner = None if info is None else next(_models_in(info.annotation), None)
        model = model if inner is None else inner
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
