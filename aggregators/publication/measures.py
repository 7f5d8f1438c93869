"""The measures: what an analyst, an operator and an auditor may ask, one SQL file each in `aggregators/sql/measures/`.

Rules:

* a file says everything about its measure: a header of `-- key: value` lines, one `-- cube:` line for each combination
  of dimensions that is published, then the sections `-- cells`, `-- histograms` (perhaps), `-- each` (perhaps) and
  `-- answer`;
* a header that is not understood in full is refused with file and line, and then no measure can be asked at all;
* `-- cells` gives contributions, never finished cells: what adds them up, bounds the devices in a cell and suppresses
  is the same for all measures (`aggregators.publication.publish`);
* `-- answer` reads the relation `cells`: published cells of one cube, added up over tiers and time as far as was asked.
  Its columns are `start` (NULL without a bucket), the other asked columns, every value, every histogram, and `band`.
  Filters on dimensions belong behind it, not before: a share needs the cells that are filtered away;
* `-- each` gives numbers, one `expression AS name` behind the other, that are worked out for each published `cell`
  before anything is added up, beside its values: there its start, grain and tier are still known, whatever was asked.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from aggregators.publication.measure import Answer, Basis, Cube, Grain, Measure, Quantity, names_in
from aggregators.sql_templates import SQL_DIRECTORY, open_names
from ingest.access.tokens import ROLES
from schemas.errors import ContractError, Finding, nearest

__all__ = ["Answer", "Basis", "Cube", "Grain", "Measure", "Quantity", "load_measure", "load_measures"]

MEASURES_DIRECTORY = SQL_DIRECTORY / "measures"

KEYS = (
    "measure",
    "title",
    "question",
    "asked by",
    "basis",
    "suppression",
    "dimensions",
    "values",
    "columns",
    "primary",
)
OPTIONAL_KEYS = ("histograms",)
NAME = re.compile(r"[a-z][a-z0-9_]*")
MEASURE_NAME = re.compile(r"[A-Z][0-9]+")
HEADER_LINE = re.compile(r"-- (?P<key>[a-z ]+):(?: (?P<value>.*))?")
SECTION_LINE = re.compile(
    r"-- (?P<section>cells|histograms|each|answer)(?: of: (?P<cube>[a-z_, ]+?)(?:; primary (?P<primary>\w+))?)?"
)
RESERVED = frozenset(
    {"start", "tier", "part", "device", "devices", "key", "key_first", "report_first", "band", "publication", "cube"}
)


def load_measures(directory: Path = MEASURES_DIRECTORY) -> Mapping[str, Measure]:
    """Every measure by its name, sorted by file; raises `ContractError` with everything that is wrong."""
    findings: list[Finding] = []
    measures: dict[str, Measure] = {}
    for file in sorted(directory.glob("*.sql")):
        try:
            measures[file.stem] = load_measure(file)
        except ContractError as error:
            findings.extend(error.findings)
    if findings:
        raise ContractError(findings)
    return measures


def load_measure(file: Path) -> Measure:
    """The measure in `file`; raises `ContractError` with a line and a fix for each thing that is wrong."""
    return _Reading(file).measure()


class _Reading:
    """One pass over one file; collects what is wrong instead of stopping at the first thing."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._findings: list[Finding] = []
        self._header: dict[str, tuple[int, str]] = {}
        self._cubes: list[tuple[int, str]] = []
        self._sections: dict[tuple[str, str], tuple[int, str, str]] = {}
        self._read(file.read_text(encoding="utf-8").splitlines())

    def measure(self) -> Measure:
        for key in KEYS:
            if key not in self._header:
                self._wrong(0, f"the header has no `{key}`", "add the line; docs/measures.md says what each means")
        self._refuse_if_wrong()
        measure = self._measure()
        self._check(measure)
        self._refuse_if_wrong()
        return measure

    def _read(self, lines: list[str]) -> None:
        section: tuple[str, str] | None = None
        for number, line in enumerate(lines, start=1):
            if found := SECTION_LINE.fullmatch(line):
                section = (found["section"], found["cube"] or "*")
                self._sections[section] = (number, "", found["primary"] or "")
            elif section is not None:
                first, text, primary = self._sections[section]
                self._sections[section] = (first, f"{text}{line}\n", primary)
            elif line.strip():
                self._header_line(number, line)

    def _header_line(self, number: int, line: str) -> None:
        found = HEADER_LINE.fullmatch(line.rstrip())
        if found is None:
            self._wrong(number, "no line of a header", "write `-- key: value`, or begin a section: `-- cells`")
            return
        key, value = found["key"], (found["value"] or "").strip()
        if key == "cube":
            self._cubes.append((number, value))
        elif key not in (*KEYS, *OPTIONAL_KEYS):
            self._wrong(number, f"no key `{key}`", nearest(key, (*KEYS, *OPTIONAL_KEYS, "cube")))
        elif key in self._header:
            self._wrong(number, f"`{key}` stands twice", "keep one of the two lines")
        elif not value:
            self._wrong(number, f"`{key}` is empty", "write its value behind the colon")
        else:
            self._header[key] = (number, value)

    def _measure(self) -> Measure:
        suppression = self._one_of_suppression()
        primary = self._header["primary"][1]
        cubes = tuple(self._cube(number, value) for number, value in self._cubes)
        return Measure(
            name=self._header["measure"][1],
            title=self._header["title"][1],
            question=self._header["question"][1],
            asked_by=frozenset(role for role in ROLES if role in self._listed("asked by", ROLES)),
            basis="received" if self._listed("basis", get_args(Basis)) == ("received",) else "window",
            unsuppressed_because=suppression,
            dimensions=tuple(names_in(self._header["dimensions"][1])),
            values=self._quantities("values"),
            histograms=self._quantities("histograms") if "histograms" in self._header else (),
            columns=self._quantities("columns"),
            primary=primary,
            cubes=cubes,
            cells=self._section("cells"),
            observations=self._section("histograms") if ("histograms", "*") in self._sections else None,
            each=self._section("each") if ("each", "*") in self._sections else None,
            answers={cube.name: self._answer(cube, primary) for cube in cubes},
        )

    def _one_of_suppression(self) -> str | None:
        number, value = self._header["suppression"]
        because = value.removeprefix("none, because ")
        if value == "k":
            return None
        if because in (value, ""):
            self._wrong(number, f"suppression `{value}` is not known", "write `k`, or `none, because` and the reason")
        return because

    def _listed(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        number, value = self._header[key]
        for name in names_in(value):
            if name not in known:
                self._wrong(number, f"{key}: `{name}` is not known", nearest(name, known))
        return tuple(names_in(value))

    def _quantities(self, key: str) -> tuple[Quantity, ...]:
        number, value = self._header[key]
        found = [Quantity(*one.split(" ", 1)) for one in names_in(value) if " " in one]
        if len(found) != len(names_in(value)):
            self._wrong(number, f"{key}: something has no unit", "write each as a name and a unit: `tasks {task}`")
        return tuple(found)

    def _cube(self, number: int, value: str) -> Cube:
        names, *options = (one.strip() for one in value.split(";"))
        part = next((option.removeprefix("part ") for option in options if option.startswith("part ")), None)
        for option in options:
            if option not in ("banded", "day only") and not option.startswith("part "):
                self._wrong(number, f"no option `{option}` of a cube", "known: part and its name, banded, day only")
        dimensions = names_in(self._header["dimensions"][1])
        for name in names_in(names):
            if name not in dimensions:
                self._wrong(number, f"`{name}` is no dimension of this measure", nearest(name, dimensions))
        return Cube(tuple(names_in(names)), part, banded="banded" in options, day_only="day only" in options)

    def _section(self, section: str, cube: str = "*") -> str:
        number, text, _ = self._sections.get((section, cube), (0, "", ""))
        if not text.strip():
            self._wrong(number, f"the section `-- {section}` is missing or empty", "write its query")
        return text

    def _answer(self, cube: Cube, primary: str) -> Answer:
        if ("answer", cube.name) in self._sections:
            own = self._sections["answer", cube.name][2]
            return Answer(self._section("answer", cube.name), own or primary)
        return Answer(self._section("answer"), primary)

    def _check(self, measure: Measure) -> None:
        self._check_names(measure)
        self._check_cubes(measure)
        self._check_sections(measure)

    def _check_names(self, measure: Measure) -> None:
        if not MEASURE_NAME.fullmatch(measure.name) or measure.name != self._file.stem:
            self._wrong(self._header["measure"][0], "the measure is not named as its file", f"write {self._file.stem}")
        stored = [*measure.dimensions, *(one.name for one in (*measure.values, *measure.histograms))]
        for name in stored:
            if not NAME.fullmatch(name) or name in RESERVED or stored.count(name) > 1:
                self._wrong(0, f"`{name}` is reserved, stands twice, or is no name", "take small letters, digits, _")
        for primary in {measure.primary, *(answer.primary for answer in measure.answers.values())}:
            if primary not in measure.units:
                line = self._header["primary"][0]
                self._wrong(line, f"primary: `{primary}` is none of the columns", nearest(primary, measure.units))

    def _check_cubes(self, measure: Measure) -> None:
        if not measure.cubes:
            self._wrong(0, "no cube", "add a line `-- cube:` with the dimensions that are published together")
        for number, (line, _) in enumerate(self._cubes):
            earlier = measure.cubes[:number]
            if any(set(cube.dimensions) == set(measure.cubes[number].dimensions) for cube in earlier):
                self._wrong(line, "a cube of these dimensions stands further up", "remove one of the two")
        if len({cube.part is None for cube in measure.cubes}) > 1:
            self._wrong(self._cubes[0][0], "some cubes name a part and some do not", "name one for every cube, or none")

    def _check_sections(self, measure: Measure) -> None:
        if bool(measure.histograms) != (measure.observations is not None):
            self._wrong(
                0, "`histograms` stands in the header or as a section, not as both", "add the other, or remove it"
            )
        for (section, cube), (number, text, _) in self._sections.items():
            allowed = {"asked", "within"} if section == "answer" else {"grain"}
            for name in sorted(open_names(text) - allowed):
                self._wrong(number, f"{{{name}}} is not filled in this section", nearest(name, allowed))
            if cube != "*" and cube not in measure.answers:
                self._wrong(number, f"an answer of `{cube}`, which is no cube", nearest(cube, measure.answers))

    def _wrong(self, line: int, problem: str, fix: str) -> None:
        self._findings.append(Finding(file=str(self._file), line=line, problem=problem, fix=fix))

    def _refuse_if_wrong(self) -> None:
        if self._findings:
            raise ContractError(self._findings)
