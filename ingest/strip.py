"""Report -> StrippedReport: one walk over the message that checks every byte and lets through what the plan says.

The walk is compiled from the plan: a step a field, each a closure that copies, coarsens, pseudonymises or drops.
Nothing that is dropped is ever part of the output buffer. Pure: the key, the manifest's names and the time are handed
in.

This is the only module that builds a `StrippedReport`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from ingest.coarsen import Names, name_coarsening, number_coarsening
from ingest.copiers import NULL, PRESENT, Copier, Run, Step, array, as_it_stands, copier, record, whole_step
from ingest.problems import Reason, Rejected
from ingest.pseudonym import pseudonym
from ingest.report import Remark, Report, StrippedReport
from ingest.wire import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    encode_long,
    encode_string,
    read_int,
    read_long,
    read_present,
    read_string,
)
from schemas.avro_types import Array, Field, Map, Primitive
from schemas.framing import SINGLE_OBJECT_BYTES
from schemas.output_schema import REMARK_ACTIONS
from schemas.plan import UNKNOWN_FIELD, Action, Plan, PlannedField

PRESENT_BYTE = bytes([PRESENT])

ACTIONS = tuple(Action(symbol) for symbol in REMARK_ACTIONS)


class Strip(Protocol):
    """Bytes to bytes behind one seam, so that a native engine can stand in under the same contract suite."""

    def __call__(
        self, report: Report, plan: Plan, *, names: Names, key: Callable[[], bytes], now: int, unknown: int = 0
    ) -> StrippedReport:
        """What `plan` lets through of `report`; raises `Rejected`.

        `key` is called at the first value to be pseudonymised; `now` is milliseconds since the epoch, UTC; `unknown` is
        how many names that the schema does not have were taken off before (JSON has such).
        """
        ...


def strip(
    report: Report, plan: Plan, *, names: Names, key: Callable[[], bytes], now: int, unknown: int = 0
) -> StrippedReport:
    """See `Strip`."""
    run = Run(names=names, key=key, now=now)
    if unknown:
        run.touched[slot(UNKNOWN_FIELD, Action.DROP)] = unknown
    out = bytearray(_stamp(plan))
    end = _walker(plan, report.consents)(report.message, SINGLE_OBJECT_BYTES, out, run)
    if end != len(report.message):
        raise Rejected(Reason.TRAILING_BYTES)
    remarks = tuple(Remark(key >> 2, ACTIONS[key & 3], values) for key, values in sorted(run.touched.items()))
    out += _encode_remarks(run.touched)
    return StrippedReport(plan=plan, report_id=report.report_id, body=bytes(out), remarks=remarks)


def slot(field_id: int, action: Action) -> int:
    """The key under which a run counts what `action` did to a field."""
    return field_id << 2 | action.index


@lru_cache(maxsize=1024)
def _stamp(plan: Plan) -> bytes:
    """How every body under a plan begins: schema fingerprint, policy version, plan fingerprint."""
    numbers = (
        int.from_bytes(plan.schema.fingerprint, "little", signed=True),
        plan.tier.version,
        int.from_bytes(plan.fingerprint, "little", signed=True),
    )
    return b"".join(PRESENT_BYTE + encode_long(number) for number in numbers)


def _encode_remarks(touched: dict[int, int]) -> bytes:
    if not touched:
        return b"\x02\x00"
    encoded = bytearray(PRESENT_BYTE + encode_long(len(touched)))
    for key, values in sorted(touched.items()):
        encoded += encode_long(key >> 2) + encode_long(key & 3) + encode_long(values)
    encoded.append(0)
    return bytes(encoded)


@lru_cache(maxsize=1024)
def _walker(plan: Plan, consents: frozenset[str]) -> Copier:
    """The compiled walk of a plan for a device that gave `consents` (few sets of a few purposes, so few walks)."""
    return _walk(plan.fields, consents)


def _walk(fields: Sequence[PlannedField], consents: frozenset[str]) -> Copier:
    return record([_step(planned, consents) for planned in fields], prefix=PRESENT_BYTE)


def _step(planned: PlannedField, consents: frozenset[str]) -> Step:
    field = planned.field
    if planned.refused_since_ms is not None:
        return Step(field.path, _refuse(field, planned.refused_since_ms, _copy(planned, consents)), None)
    plain = planned.children is None and planned.action is Action.KEEP and not field.nullable
    in_run = plain and not _withheld(planned, consents)
    return Step(field.path, _copy(planned, consents), as_it_stands(field.type) if in_run else None)


def _copy(planned: PlannedField, consents: frozenset[str]) -> Copier:
    field = planned.field
    if planned.children is not None:
        return _descend(planned, _walk(planned.children, consents))
    if _withheld(planned, consents):
        return _then_null(_drop(field))
    if planned.action is Action.KEEP:
        return whole_step(field).copy if field.nullable else _present(copier(field.type, field.path))
    if planned.action is Action.PSEUDONYMISE:
        return _change_name(field, Action.PSEUDONYMISE, _pseudonymise(field))
    if planned.action is Action.COARSEN:
        return _coarsen(planned)
    return _drop(field)


def _withheld(planned: PlannedField, consents: frozenset[str]) -> bool:
    """Whether the field is kept under a consent that the device did not give."""
    return planned.consent is not None and planned.consent not in consents


def _present(inner: Copier) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        out.append(PRESENT)
        return inner(buffer, at, out, run)

    return copy


def _then_null(inner: Copier) -> Copier:
    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        at = inner(buffer, at, out, run)
        out.append(NULL)
        return at

    return copy


def _refuse(field: Field, since_ms: int, otherwise: Copier) -> Copier:
    """Refuses the report if the field is present, from that day on. The lint sees to it that absence begins with 0."""

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        if run.now >= since_ms and read_long(buffer, at, field.path)[0] != 0:
            raise Rejected(Reason.FIELD_REFUSED, path=field.path)
        return otherwise(buffer, at, out, run)

    return copy


def _drop(field: Field) -> Copier:
    """Checks the value as if it were kept, and counts it. An empty array or map counts as absent."""
    inner = whole_step(field).copy
    may_be_absent = field.nullable or isinstance(field.type, Array | Map)
    names_of_its_own = isinstance(field.type, Map)
    dropped = slot(field.id, Action.DROP)
    unknown = slot(UNKNOWN_FIELD, Action.DROP)

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:  # noqa: ARG001  # nothing dropped goes there
        if may_be_absent and buffer[at] == 0:
            return at + 1
        scratch = bytearray()
        at = inner(buffer, at, scratch, run)
        if scratch[0] == 0 and may_be_absent:
            return at
        run.touched[dropped] = run.touched.get(dropped, 0) + 1
        if names_of_its_own:
            count, _ = read_long(scratch, 0, field.path)
            run.touched[unknown] = run.touched.get(unknown, 0) + count
        return at

    return copy


def _descend(planned: PlannedField, inside: Copier) -> Copier:
    """Walks into a record, or into each record of an array; without a survivor, only to check and to count."""
    field = planned.field
    inner = array(inside, field.path) if isinstance(field.type, Array) else inside
    survives = planned.survives

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        target = out if survives else bytearray()
        if field.nullable:
            present, at = read_present(buffer, at, field.path)
            if not present:
                target.append(NULL)
                return at
        target.append(PRESENT)
        return inner(buffer, at, target, run)

    return copy


def _pseudonymise(field: Field) -> Callable[[bytes, Run], bytes]:
    def change(name: bytes, run: Run) -> bytes:
        return pseudonym(run.key(), field.path, name)

    return change


def _coarsen(planned: PlannedField) -> Copier:
    number = number_coarsening(planned.rule)
    if number is not None:
        return _change_number(planned.field, number)
    name = name_coarsening(planned.rule)
    if name is None:
        raise AssertionError(f"{planned.field.path}: a coarsening that strip does not know")
    return _change_name(planned.field, Action.COARSEN, lambda text, run: name(text, run.names))


def _change_name(field: Field, action: Action, change: Callable[[bytes, Run], bytes]) -> Copier:
    changed_slot = slot(field.id, action)

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        if field.nullable:
            present, at = read_present(buffer, at, field.path)
            if not present:
                out.append(NULL)
                return at
        name, at = read_string(buffer, at, field.path)
        changed = change(name, run)
        if changed != name:
            run.touched[changed_slot] = run.touched.get(changed_slot, 0) + 1
        out.append(PRESENT)
        out += encode_string(changed)
        return at

    return copy


def _change_number(field: Field, change: Callable[[int], int]) -> Copier:
    changed_slot = slot(field.id, Action.COARSEN)
    read, low, high = (
        (read_int, INT_MIN, INT_MAX) if field.type == Primitive("int") else (read_long, LONG_MIN, LONG_MAX)
    )

    def copy(buffer: bytes, at: int, out: bytearray, run: Run) -> int:
        if field.nullable:
            present, at = read_present(buffer, at, field.path)
            if not present:
                out.append(NULL)
                return at
        number, at = read(buffer, at, field.path)
        changed = change(number)
        if changed != number:
            if not low <= changed <= high:  # the last hour of 64 bits has no end
                raise Rejected(Reason.INT_OUT_OF_RANGE, path=field.path)
            run.touched[changed_slot] = run.touched.get(changed_slot, 0) + 1
        out.append(PRESENT)
        out += encode_long(changed)
        return at

    return copy
