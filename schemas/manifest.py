"""The operator's manifest: the names that devices may use, and the versions of models that are wanted where.

Rules:

* a name that the manifest does not have becomes `other` at the gate. A version that is revoked is known all the same,
  or nobody could see where it still runs;
* shares are of the devices of a region; `*` speaks for every region that has no entry of its own for the model;
* a manifest holds together by itself: whatever it refers to it names.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from schemas.errors import nearest
from schemas.operator_names import ANY, Facts, Name, NameOrAny
from schemas.tier import KnownNames, Strict
from schemas.toml_file import contradictions, load_toml
from schemas.toml_lines import KeyPath

PAGE = "docs/manifest.md"

MAX_REGIONS = 500
MAX_SITES = 5_000
MAX_MIRRORS = 500
MAX_MODELS = 500
MAX_VERSIONS = 500
MAX_WANTED = 5_000
"""Far more than a fleet has. A list without end would be a place for names of devices."""

ROUNDING = 1e-9
"""Three thirds written with nine digits or more are a whole."""

Problem = tuple[KeyPath, str, str]


class Version(Strict):
    """One version of a model; `digest` is that of its file, as devices report it."""

    version: Name
    digest: Annotated[str, Field(pattern=r"^[a-z0-9]{2,16}:[0-9a-f]{8,128}$")] | None = None


class Wanted(Strict):
    """Which share (0 to 1) of the devices of `region` the operator wants on `version`."""

    region: NameOrAny
    version: Name
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]


class Model(Strict):
    """A model, its versions, those that are revoked, and those that are wanted."""

    name: Name
    versions: Annotated[tuple[Version, ...], Field(max_length=MAX_VERSIONS)] = ()
    revoked: Annotated[tuple[Name, ...], Field(max_length=MAX_VERSIONS)] = ()
    wanted: Annotated[tuple[Wanted, ...], Field(max_length=MAX_WANTED)] = ()


class Manifest(Strict):
    """One manifest, whole; a later one replaces it and adds nothing to it."""

    regions: Annotated[tuple[Name, ...], Field(max_length=MAX_REGIONS)] = ()
    sites: Annotated[tuple[Name, ...], Field(max_length=MAX_SITES)] = ()
    mirrors: Annotated[tuple[Name, ...], Field(max_length=MAX_MIRRORS)] = ()
    models: Annotated[tuple[Model, ...], Field(max_length=MAX_MODELS)] = ()

    def names(self) -> dict[KnownNames, frozenset[bytes]]:
        """Every name that may pass the gate, by its kind, as UTF-8."""
        versions = [entry for model in self.models for entry in model.versions]
        return {
            "model": _encoded(model.name for model in self.models),
            "model_version": _encoded(
                [entry.version for entry in versions] + [gone for model in self.models for gone in model.revoked]
            ),
            "digest": _encoded(entry.digest for entry in versions if entry.digest is not None),
            "region": _encoded(self.regions),
            "site": _encoded(self.sites),
            "mirror": _encoded(self.mirrors),
        }

    def wanted_rows(self) -> list[tuple[str, str, str, float]]:
        """(model, region or `*`, version, share), as the manifest says it."""
        return [
            (model.name, wanted.region, wanted.version, wanted.share)
            for model in self.models
            for wanted in model.wanted
        ]

    def revoked_rows(self) -> list[tuple[str, str]]:
        """(model, version) of every revoked version."""
        return [(model.name, version) for model in self.models for version in model.revoked]

    def facts(self) -> Facts:
        """What it says, in a form in which two manifests can be compared."""
        rows: list[tuple[str, ...]] = [
            *(("region", name) for name in self.regions),
            *(("site", name) for name in self.sites),
            *(("mirror", name) for name in self.mirrors),
            *(("model", model.name) for model in self.models),
            *(("revoked", *row) for row in self.revoked_rows()),
        ]
        digests = {("version", model.name, one.version): one.digest for model in self.models for one in model.versions}
        wanted = {("wanted", model, version, region): share for model, region, version, share in self.wanted_rows()}
        return {
            **dict.fromkeys(rows, ""),
            **{key: digest or "" for key, digest in digests.items()},
            **{key: str(share) for key, share in wanted.items()},
        }

    @model_validator(mode="after")
    def _holds_together(self) -> "Manifest":
        if error := contradictions(Manifest, self._contradictions()):
            raise error
        return self

    def _contradictions(self) -> Iterator[Problem]:
        if not any((self.regions, self.sites, self.mirrors, self.models)):
            yield (), "it names nothing, so every name would become other", "see `tidegate manifest example`"
        for key, names in (("regions", self.regions), ("sites", self.sites), ("mirrors", self.mirrors)):
            yield from _twice(names, [(key, place) for place in range(len(names))])
        yield from _twice(
            [m.name for m in self.models], [("models", place, "name") for place in range(len(self.models))]
        )
        for place, model in enumerate(self.models):
            for path, problem, fix in _contradictions_of(model, self.regions):
                yield ("models", place, *path), problem, fix


def load_manifest(file: Path) -> Manifest:
    """The manifest in `file`; raises `ContractError` with a line and a fix for each mistake, and OSError."""
    return load_toml(file, Manifest, page=PAGE)


def _contradictions_of(model: Model, regions: tuple[str, ...]) -> Iterator[Problem]:
    versions = [entry.version for entry in model.versions]
    yield from _twice(versions, [("versions", place) for place in range(len(versions))])
    yield from _twice(model.revoked, [("revoked", place) for place in range(len(model.revoked))])
    yield from _twice(
        [f"{wanted.version} in {_region(wanted.region)}" for wanted in model.wanted],
        [("wanted", place) for place in range(len(model.wanted))],
    )
    for place, wanted in enumerate(model.wanted):
        yield from _wrong_with(wanted, ("wanted", place), model, regions)
    yield from _too_much(model.wanted)


def _wrong_with(wanted: Wanted, path: KeyPath, model: Model, regions: tuple[str, ...]) -> Iterator[Problem]:
    versions = [entry.version for entry in model.versions]
    if wanted.version in model.revoked and wanted.share > 0:
        yield (*path, "version"), f"{wanted.version} is revoked", "want another version, or take it out of revoked"
    elif wanted.version not in (*versions, *model.revoked):
        hint = nearest(wanted.version, versions) if versions else "it has none"
        yield (*path, "version"), f"{wanted.version} is no version of {model.name}", f"name it in versions; {hint}"
    if wanted.region not in (ANY, *regions):
        hint = nearest(wanted.region, (ANY, *regions))
        yield (*path, "region"), f"there is no region {wanted.region}", f"name it in regions; {hint}"


def _too_much(entries: tuple[Wanted, ...]) -> Iterator[Problem]:
    """Regions whose shares come to more than all of their devices, told at the last entry."""
    for region in dict.fromkeys(wanted.region for wanted in entries):
        places = [place for place, wanted in enumerate(entries) if wanted.region == region]
        total = math.fsum(entries[place].share for place in places)
        if total > 1 + ROUNDING:
            problem = f"the shares of {_region(region)} come to {total:g}"
            yield ("wanted", places[-1], "share"), problem, "shares of one region come to 1 at most"


def _twice(names: Iterable[str], paths: Iterable[KeyPath]) -> Iterator[Problem]:
    seen: set[str] = set()
    for name, path in zip(names, paths, strict=True):
        if name in seen:
            yield path, f"{name} is there twice", "remove one of them"
        seen.add(name)


def _region(region: str) -> str:
    return "every other region" if region == ANY else region


def _encoded(names: Iterable[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)
