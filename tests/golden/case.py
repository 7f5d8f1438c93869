"""A golden file: one submission, and what a tier makes of it, written down so that a person can check it.

    {
      "why": "a sentence: what would be lost if this file were not here",
      "tier": "byod", "report": "route_window",
      "now": "2026-11-21T13:00:00Z",
      "location": "here",                       (where the gate stores; left out: "here")
      "manifest": {"region": ["eu-west"]},      (names the operator knows; left out: none)
      "keys": "present" | "closed" | "missing", (left out: present)
      "submission": {"json": {...}}             a report as JSON, or
                    {"hex": ["c301...", ...]},  a message, byte for byte, in as many lines as are wanted
      "expected": {"status": 202, "stripped": {...}, "remarks": [["user_email", "drop", 1], ...]} or
                  {"status": 422, "reason": "...", "path": "..."}
    }

`stripped` is the record as a person reads it: without what is null, without remarks, and without the three stamps,
which change with every policy and are held by tests/contract/test_strip.py. The remark path `*` counts names that the
schema does not have. `expected` is written by `python -m tests.golden.regenerate`, the rest by hand.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest.json_reports import Message, encode_json
from ingest.pipeline import AVRO, JSON, Rules, Submission, strip_message
from ingest.problems import Reason, Rejected
from ingest.report import StrippedReport
from schemas.catalogue import Catalogue
from schemas.plan import UNKNOWN_FIELD

CASES = Path(__file__).parent / "cases"
KEY = bytes(range(32))
STAMPS = ("schema_fingerprint", "policy_version", "plan_fingerprint")

KEYS: dict[str, Reason | None] = {"present": None, "closed": Reason.EPOCH_CLOSED, "missing": Reason.KEY_MISSING}


@dataclass(frozen=True, slots=True)
class Case:
    """One file; `content` is its JSON."""

    file: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return self.file.stem

    def rules(self, catalogue: Catalogue) -> Rules:
        """What is in force in this case."""
        known = self.content.get("manifest", {})
        names = {kind: frozenset(name.encode() for name in names) for kind, names in known.items()}
        return Rules(catalogue, names, self.content.get("location", "here"), self._key)

    def _key(self, _tier: str, _epoch_days: int, _window_start: int) -> bytes:
        reason = KEYS[self.content.get("keys", "present")]
        if reason is not None:
            raise Rejected(reason)
        return KEY

    def message(self, catalogue: Catalogue) -> Message:
        """The message that was submitted; raises `Rejected` where JSON is none."""
        submitted = self.content["submission"]
        if "hex" in submitted:
            return Message(bytes.fromhex("".join(submitted["hex"])))
        return encode_json(submitted["json"], catalogue.latest[self.content["report"]])

    def outcome(self, catalogue: Catalogue) -> dict[str, Any]:
        """What becomes of it, in the form of `expected`."""
        media_type = AVRO if "hex" in self.content["submission"] else JSON
        posted = Submission(self.content["tier"], self.content["report"], media_type, "", b"")
        now = round(datetime.fromisoformat(self.content["now"]).timestamp() * 1000)
        try:
            message = self.message(catalogue)
            return accepted(strip_message(message, posted, self.rules(catalogue), now=now))
        except Rejected as refusal:
            told = {"status": refusal.reason.problem.status, "reason": refusal.reason.value}
            return told if refusal.path is None else told | {"path": refusal.path}


def accepted(stripped: StrippedReport) -> dict[str, Any]:
    """An accepted report in the form of `expected`; its record and its list of remarks must say the same."""
    record = stripped.plan.readable(stripped.body)
    written = [[remark["field"], remark["action"], remark["values"]] for remark in record.pop("remarks")]
    if written != [[remark.field, remark.action.value, remark.values] for remark in stripped.remarks]:
        raise AssertionError("the record tells other remarks than the stripped report")
    remarks = [
        [
            "*" if remark.field == UNKNOWN_FIELD else stripped.plan.path_of(remark.field),
            remark.action.value,
            remark.values,
        ]
        for remark in stripped.remarks
    ]
    kept = {name: value for name, value in record.items() if name not in STAMPS}
    return {"status": 202, "stripped": kept, "remarks": remarks}


def cases() -> Iterator[Case]:
    """Every golden file, by name."""
    for file in sorted(CASES.glob("*.json")):
        yield Case(file, json.loads(file.read_text(encoding="utf-8")))
