"""What `GET /v1/policy` publishes, and that docs/http.md tells every key of it."""

import dataclasses
import gzip
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from ingest.coarsen import name_coarsening, number_coarsening
from ingest.http import service
from ingest.http.policy_document import policy_document
from schemas.catalogue import Catalogue, load_catalogue
from schemas.plan import compile_plan, planned_leaves
from tests.documents import bare, page
from tests.reporter.policy.any_tier import RULES, tier_of

CATALOGUE = load_catalogue()
HTTP = page("docs/http.md")
TIERS = sorted(CATALOGUE.tiers)


def published(tier: str) -> dict[str, Any]:
    """The document of a shipped tier, as it arrives."""
    found: dict[str, Any] = json.loads(json.dumps(policy_document(CATALOGUE, CATALOGUE.tiers[tier])))
    return found


def fields(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every row of every report."""
    return [row for report in document["reports"] for row in report["fields"]]


@pytest.mark.parametrize("tier", TIERS)
def test_every_coarsening_can_be_done_from_the_document(tier: str) -> None:
    """What is said of a coarsening, as data, is the whole of its rule; no other action has one."""
    document = published(tier)
    for report in document["reports"]:
        plan = CATALOGUE.plans[tier, bytes.fromhex(report["schema_fingerprint"])]
        for row, planned in zip(report["fields"], planned_leaves(plan.fields), strict=True):
            assert ("coarsening" in row) is (row["action"] == "coarsen"), row["field"]
            if "coarsening" not in row:
                continue
            said = {"by" if name == "kind" else name: value for name, value in row["coarsening"].items()}
            again = RULES.validate_python({"action": "coarsen", "fields": ["x"], "why": "A test.", **said})
            assert (number_coarsening(again) or name_coarsening(again)) is not None
            parts = {"fields", "reports", "why", "although", "consent"}
            assert again.model_dump(exclude=parts) == planned.rule.model_dump(exclude=parts), row["field"]


def test_a_bucket_is_told_with_its_bounds() -> None:
    """A coarsening names its kind and its parameters, beside the words for people."""
    row = next(row for row in fields(published("contractor")) if row["field"] == "rows.seconds_in_fallback")
    assert row["coarsening"] == {"kind": "bucket", "bounds": [0, 60, 300, 900, 1800, 3600]}
    assert row["how"] == "bucket (bounds 0 60 300 900 1800 3600)"


@pytest.mark.parametrize("tier", TIERS)
def test_consents_are_all_that_anything_rests_on(tier: str) -> None:
    """The consents of a tier are those of its fields and its reports, and no other."""
    document = published(tier)
    asked = {row["consent"] for row in fields(document) if "consent" in row} | {*document["requires_consent"].values()}
    assert set(document["consents"]) == asked


@pytest.mark.parametrize("tier", TIERS)
def test_refusals_are_told_with_their_days(tier: str) -> None:
    """Every field that a tier refuses is listed with the day, and the row of the field tells the same day."""
    document = published(tier)
    listed = {entry["field"]: entry["since"] for entry in document["refuse_if_present"]}
    assert listed == {entry.field: entry.since.isoformat() for entry in CATALOGUE.tiers[tier].refuse_if_present}
    assert listed == {row["field"]: row["refused_from"] for row in fields(document) if "refused_from" in row}


def test_a_refused_container_is_told_though_no_row_is_about_it() -> None:
    """A field that is refused while its parts have rules of their own has no row, and is in the list."""
    schema = CATALOGUE.latest["route_window"]
    rules = [{"fields": ["violations.rule"], "action": "keep"}]
    tier = tier_of(
        ["route_window"],
        rules,
        refuse_if_present=[{"field": "violations", "since": "2030-01-01", "why": "A test."}],
    )
    plans = {(tier.name, schema.fingerprint): compile_plan(schema, tier)}
    document = policy_document(Catalogue(schemas=(schema,), tiers={tier.name: tier}, plans=plans), tier)
    assert [entry["field"] for entry in document["refuse_if_present"]] == ["violations"]
    assert not [row for row in fields(document) if "refused_from" in row]


def test_no_name_of_the_operator_is_published() -> None:
    """Where regions are stored, and what they are called, is not in the document, only whether it matters."""
    tier = tier_of([], [], residency={"tango-region": ["foxtrot-place"], "*": ["*"]})
    document = policy_document(CATALOGUE, tier)
    assert document["region_decides_residency"] is True
    assert "tango" not in json.dumps(document)
    assert "foxtrot" not in json.dumps(document)
    assert published("managed")["region_decides_residency"] is False


def keys_of(*head: str) -> list[set[str]]:
    """The keys that each table of that head tells."""
    return [{name for row in table for name in bare(row[head[0]]).split(", ")} for table in HTTP.tables(*head)]


def test_the_page_tells_every_key() -> None:
    """docs/http.md has a line for each key of the document, of a report in it, and of a field."""
    told = keys_of("key of the policy", "what it says")[0]
    reports, rows = keys_of("key of a report", "what it says")[0], keys_of("key of a field", "what it says")[0]
    documents = [published(tier) for tier in TIERS]
    assert told == {name for document in documents for name in document}
    assert reports == {name for document in documents for report in document["reports"] for name in report}
    assert rows == {name for document in documents for row in fields(document) for name in row}


def test_the_page_tells_every_kind_of_coarsening() -> None:
    """docs/http.md has a line for each coarsening, with the parameters that it has."""
    table = HTTP.table("kind", "parameters", "what becomes of a value")
    told = {
        bare(row["kind"]): {*bare(row["parameters"]).replace("none", "").replace(",", " ").split()} for row in table
    }
    definitions = RULES.json_schema()["$defs"].values()
    common = {"fields", "reports", "why", "although", "consent", "action", "by"}
    assert told == {
        properties["by"]["const"]: set(properties) - common
        for properties in (definition["properties"] for definition in definitions)
        if "by" in properties
    }


async def test_it_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a policy is asked for, it is compressed once; a reload of the policies compresses it anew."""
    compressed: list[bytes] = []

    def compress(data: bytes, **how: Any) -> bytes:
        compressed.append(data)
        return gzip.compress(data, **how)

    monkeypatch.setattr(service, "gzip", SimpleNamespace(compress=compress))
    gate: Any = SimpleNamespace(rules=SimpleNamespace(catalogue=reloaded()))
    app = service.build_service(service.contracts_router(gate))

    async def as_byod(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, service.TIER: "byod"}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(as_byod), base_url="http://gate") as client:
        for times in (1, 2):
            for _ in range(3):
                answer = await client.get("/v1/policy")
                assert (answer.headers["content-encoding"], answer.content) == ("gzip", compressed[-1])
            assert len(compressed) == times
            gate.rules.catalogue = reloaded()


def reloaded() -> Catalogue:
    """The same policies in a new catalogue, as a reload makes one."""
    return dataclasses.replace(CATALOGUE)
