"""May data written under one schema be read under another: and if not, where and why.

The verdict is that of the Apache Avro project's own checker; this module only says it in the words of a person who has
two files side by side.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas.catalogue import Catalogue

Direction = Literal["new reads old", "old reads new"]


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One place where `direction` fails: the schema path, the kind of trouble, and the checker's sentence."""

    direction: Direction
    where: str
    kind: str
    why: str


def incompatibilities(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Incompatibility]:
    """Why the two schemas are not fully compatible (each reads the other's data); nothing if they are."""
    yield from _one_way(reader=new, writer=old, direction="new reads old")
    yield from _one_way(reader=old, writer=new, direction="old reads new")


def _one_way(*, reader: dict[str, Any], writer: dict[str, Any], direction: Direction) -> Iterator[Incompatibility]:
    checker = ReaderWriterCompatibilityChecker()
    result = checker.get_compatibility(avro.schema.parse(json.dumps(reader)), avro.schema.parse(json.dumps(writer)))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return
    places = sorted(result.locations) or ["/"]
    sentences = sorted(result.messages) or ["no reason given"]
    kinds = ", ".join(sorted(kind.name for kind in result.incompatibilities))
    for index, place in enumerate(places):
        yield Incompatibility(direction, place, kinds, sentences[min(index, len(sentences) - 1)])


def policy_incompatibilities(old: Catalogue, new: Catalogue, tier: str) -> Iterator[tuple[str, Incompatibility]]:
    """For each report that `tier` takes in both catalogues, why its two output schemas are not fully compatible."""
    for (name, fingerprint), plan in old.plans.items():
        later = new.plans.get((name, fingerprint))
        if name == tier and later is not None:
            for found in incompatibilities(plan.output, later.output):
                yield plan.schema.label, found


def tightening_incompatibilities(catalogue: Catalogue) -> Iterator[tuple[str, Incompatibility]]:
    """Whether moving a report between two tiers' policies would break a reader: the FULL_TRANSITIVE lint."""
    for (name, fingerprint), plan in catalogue.plans.items():
        for (other, other_fingerprint), other_plan in catalogue.plans.items():
            if fingerprint == other_fingerprint and name < other:
                for found in incompatibilities(plan.output, other_plan.output):
                    yield f"{plan.schema.label}, {name} against {other}", found
