"""Strips a report before it is queued: what the gate would drop never touches the device's disk. Pure.

    values --strip--> Stripped --messages.encode--> Message --identifiers, when it is sent--> bytes

A dropped field says nothing: null, the schema's default, or `other`. The gate's own pass over what is left then changes
no record (`tests/contract/test_device_strip.py`). Three things are not as the table of a policy has them:

* What the gate reads before it decides anything is sent even where the record will not have it: `report_id`, the window
  (in whole hours where the policy drops it), the consents that something in the report rests on, and the region where
  that decides about residency. A window is coarsened only in the way that leaves it a window: its start down, its end
  up. Such an end may lie ahead of the clock, and the gate takes the report no earlier than that.
* Identifiers are never part of what is queued. Those that the policy lets through under a pseudonym, or coarsened, are
  put in while the message is sent (`identifiers`).
* No policy can keep an identifier or a text as it is, here as at the gate; one that says so is not followed.

The flags of a row (`first_of_hour` and so on) are about its dimensions as they are told: whoever sets them asks `told`
first. Else two rows that are told alike are both flagged, and count one device twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from reporter.policy import DROP, HOURS, KEEP, Decision, Policy
from reporter.reports import CONSENT, IDENTIFIERS, PREAMBLE, PURPOSES, Field, schema


class Withheld(Exception):
    """The tier does not take such a report, or not without a consent that was not given: it must not be queued."""


class Unfit(Exception):
    """The value of a field is missing, or not of its type; the message is the field's path and nothing else."""


class TakenOff(NamedTuple):
    """What was not left as it was: the path of a field, what was done, and to how many values. Never a value."""

    field: str
    action: str
    values: int


@dataclass(frozen=True, slots=True)
class Stripped:
    """What may be queued: `values` has every field of the schema and nothing else.

    `purposes` are the consents that something in it rests on: when one of them is withdrawn, the report has to go.
    """

    values: dict[str, Any]
    taken_off: tuple[TakenOff, ...]
    purposes: frozenset[str]


ABSENT = object()
"""A value that was not given; null is a value."""

CARRIED = Decision("carry")
"""An identifier that is put in when the message is sent: not queued, and not taken off either."""

Told = Callable[[Field, Any], Any]
"""What is told of a field: its value to what stands in the report."""


def strip(values: Mapping[str, Any], report: str, policy: Policy, consents: frozenset[str]) -> Stripped:
    """What the policy lets through of a report under `consents`; flags of consent in `values` are not looked at.

    A name that the schema does not have is left out. Raises `Withheld` or `Unfit`.
    """
    if not policy.allows(report, consents):
        raise Withheld
    taking = _Pass(report, policy, consents)
    kept = taking.record(schema(report).fields, {**values, **_flags(consents)}, taking.field)
    taken_off = tuple(TakenOff(path, action, number) for (path, action), number in taking.touched.items())
    needed = {policy.requires_consent[report]} if report in policy.requires_consent else set()
    return Stripped(kept, taken_off, frozenset(taking.purposes | needed))


def told(
    row: Mapping[str, Any], array: str, *, report: str, policy: Policy, consents: frozenset[str]
) -> dict[str, Any]:
    """What a row of `array` tells of some of its fields, those in `row`; raises `Unfit`."""
    container = schema(report).by_path[array]
    within = _Pass(report, policy, consents).within(container) or _nothing
    return {field.name: within(field, row[field.name]) for field in container.fields if field.name in row}


def identifiers(given: Mapping[str, str], *, report: str, policy: Policy, consents: frozenset[str]) -> dict[str, str]:
    """Those of the device's identifiers that such a report carries when it is sent, in the form in which it does.

    One that cannot be written as UTF-8 is left out.
    """
    taking, fields = _Pass(report, policy, consents), schema(report).by_path
    carried = {name: given[name] for name in IDENTIFIERS if name in given and fields[name].takes(given[name])}
    decisions = {name: taking.allowed(fields[name]) for name in carried}
    return {name: _changed(decisions[name], carried[name]) for name in carried if decisions[name].action != "drop"}


def _flags(consents: frozenset[str]) -> dict[str, bool]:
    return {f"{CONSENT}{purpose}": purpose in consents for purpose in PURPOSES}


def _nothing(field: Field, value: Any) -> Any:  # noqa: ARG001  # as every `Told`
    return field.blank()


def _changed(decision: Decision, value: Any) -> Any:
    return value if decision.coarsening is None else decision.coarsening.apply(value)


def _no_plain_keep(field: Field) -> bool:
    """Whether something in the field is an identifier or a text, which only a gate that is at fault would keep."""
    if field.privacy == "identifier" or field.kind in ("string", "map"):
        return True
    return any(_no_plain_keep(inner) for inner in field.fields)


class _Pass:
    """One report on its way through one policy: what was touched, and which consents were made use of."""

    def __init__(self, report: str, policy: Policy, consents: frozenset[str]) -> None:
        self._decisions = policy.reports[report]
        self._rests_on = policy.rests_on(report)
        self._region_decides = policy.region_decides
        self._consents = consents
        self.touched: dict[tuple[str, str], int] = {}
        self.purposes: set[str] = set()

    def record(self, fields: tuple[Field, ...], values: Mapping[str, Any], tell: Told) -> dict[str, Any]:
        """A record with every one of its fields."""
        return {field.name: tell(field, values.get(field.name, ABSENT)) for field in fields}

    def field(self, field: Field, value: Any) -> Any:
        """What is told of a field that no container decides over."""
        within = self.within(field)
        if within is not None:
            self._use(field, value)
            return self._records(field, value, within)
        decision = self._decision(field)
        if decision is CARRIED:
            return None
        if decision.action == "drop":
            return self._dropped(field, value)
        return self._kept(field, value, decision)

    def within(self, container: Field) -> Told | None:
        """What is told of the fields in a container; None where it is none, or nothing of it is told."""
        if not container.fields:
            return None
        if container.path in self._decisions:
            return self._whole if self.allowed(container).action == "keep" else None
        return self.field if any(self._survives(inner) for inner in container.fields) else None

    def allowed(self, field: Field) -> Decision:
        """The policy's decision about a field, or `DROP` where it must not be followed."""
        decision = self._decisions.get(field.path, DROP)
        coarsening = decision.coarsening
        withheld = decision.consent is not None and decision.consent not in self._consents
        misfit = coarsening is not None and (field.repeated or field.kind not in coarsening.works_on)
        nameless = decision.action == "pseudonymise" and field.kind != "string"
        forbidden = decision.action == "keep" and _no_plain_keep(field)
        return DROP if withheld or misfit or nameless or forbidden else decision

    def _decision(self, field: Field) -> Decision:
        decision = self.allowed(field)
        if field.path in PREAMBLE:
            return self._of_preamble(field, decision)
        if field.privacy == "identifier":
            return CARRIED if field.path in IDENTIFIERS and decision.action != "drop" else DROP
        return decision

    def _of_preamble(self, field: Field, decision: Decision) -> Decision:
        hours = HOURS.get(field.path)
        if hours is not None:
            return hours if decision.action == "drop" or decision.by == hours.by else KEEP
        if field.path == "report_id" or field.path.removeprefix(CONSENT) in self._rests_on:
            return KEEP
        # The gate looks up where a region's reports may be stored by the name as it was sent.
        return KEEP if field.path == "region" and self._region_decides else decision

    def _survives(self, field: Field) -> bool:
        """Whether the policy has a place for the field under some consent, as the gate's output schema has."""
        if field.path in self._decisions or not field.fields:
            return self._decisions.get(field.path, DROP).action != "drop"
        return any(self._survives(inner) for inner in field.fields)

    def _whole(self, field: Field, value: Any) -> Any:
        """What is told of a field in a container that is kept as a whole: everything."""
        return self._records(field, value, self._whole) if field.fields else self._fit(field, value)

    def _records(self, field: Field, value: Any, within: Told) -> Any:
        value = self._fit(field, value)
        if field.repeated:
            return [self.record(field.fields, item, within) for item in value]
        return None if value is None else self.record(field.fields, value, within)

    def _dropped(self, field: Field, value: Any) -> Any:
        blank = field.blank()
        if value is not ABSENT and value != blank:
            self._count(field, "drop")
        return blank

    def _kept(self, field: Field, value: Any, decision: Decision) -> Any:
        value = self._fit(field, value)
        if value is None:
            return None
        self._use(field, value)
        changed = _changed(decision, value)
        if changed != value:
            self._count(field, decision.action)
            return self._fit(field, changed)  # the last hour of 64 bits has no end
        return changed

    def _fit(self, field: Field, value: Any) -> Any:
        """The value, or what stands for one that was not given; raises `Unfit`."""
        if value is ABSENT and (field.nullable or field.may_go_unsaid):
            return field.blank()
        if value is None and field.nullable:
            return None
        items = value if field.repeated and isinstance(value, list) else [value]
        if field.repeated is not isinstance(value, list) or not all(field.takes(item) for item in items):
            raise Unfit(field.path)
        return value

    def _use(self, field: Field, value: Any) -> None:
        """Remember the consent under which a value is told."""
        consent = self._decisions.get(field.path, DROP).consent
        if consent is not None and value is not ABSENT and value is not None and value != []:
            self.purposes.add(consent)

    def _count(self, field: Field, action: str) -> None:
        self.touched[field.path, action] = self.touched.get((field.path, action), 0) + 1
