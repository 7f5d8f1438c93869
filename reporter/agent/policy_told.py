"""A tier's policy as its device applies it, in lines for a person: what is taken off before anything is written."""

from collections import defaultdict
from collections.abc import Iterator

from reporter.agent.page import facts
from reporter.policy import Decision, Policy
from reporter.reports import CONSENT, IDENTIFIERS, PURPOSES
from reporter.state import Settings
from reporter.strip import identifiers

KNOWN = "known"
WORDS = {
    "drop": "dropped",
    "coarsen": "made coarser",
    KNOWN: "if not in the gate's manifest",
    "pseudonymise": "sent, and stored under a pseudonym",
}
"""What becomes of a field, in the order in which it is told. The gate alone knows its operator's names."""

UNTOUCHED = ("report_id", *(f"{CONSENT}{purpose}" for purpose in PURPOSES))
"""What the gate has to know whatever it keeps of it."""


def told(policy: Policy, settings: Settings) -> Iterator[str]:
    """What the policy does to the reports of this device, under the consents that it has."""
    yield f"Tier {policy.tier}, policy version {policy.version}: windows of {policy.window_minutes} minutes."
    if policy.min_tasks_per_row > 1:
        yield f"Rows of fewer than {policy.min_tasks_per_row} tasks are brought together."
    grouped = _grouped(policy, settings.consents)
    yield ""
    yield "Taken off on this device, before anything is written to its disk:"
    yield from _lines(grouped, ("drop", "coarsen"))
    yield ""
    yield "Taken off by the gate:"
    yield from _lines(grouped, (KNOWN, "pseudonymise"))
    yield ""
    yield f"Of its identifiers reports carry, put in while they are sent: {_carried(policy, settings) or 'none'}."
    yield from _consents(policy, settings.consents)


def _lines(grouped: dict[str, list[str]], actions: tuple[str, ...]) -> Iterator[str]:
    some = [(f"  {WORDS[action]}", ", ".join(grouped[action])) for action in actions if grouped[action]]
    return facts(some or [("  nothing", "")])


def _grouped(policy: Policy, consents: frozenset[str]) -> dict[str, list[str]]:
    """Action -> fields, each by its path alone where every report that has it is treated alike."""
    made = [report for report in policy.reports if policy.allows(report, consents)]
    found: dict[str, dict[str, list[str]]] = {
        name: {"drop": made} for name in IDENTIFIERS if not any(name in policy.reports[report] for report in made)
    }
    for report in made:
        for path, decision in policy.reports[report].items():
            if path not in UNTOUCHED:
                found.setdefault(path, defaultdict(list))[_action(decision, consents)].append(report)
    grouped: dict[str, list[str]] = defaultdict(list)
    for path, actions in found.items():
        for action, reports in actions.items():
            grouped[action] += [path] if len(actions) == 1 else [f"{report}.{path}" for report in reports]
    return grouped


def _action(decision: Decision, consents: frozenset[str]) -> str:
    if decision.consent is not None and decision.consent not in consents:
        return "drop"
    return KNOWN if decision.by == KNOWN else decision.action


def _carried(policy: Policy, settings: Settings) -> str:
    given, consents = settings.identifiers, settings.consents
    carried = {
        name: None
        for report in policy.reports
        for name in identifiers(given, report=report, policy=policy, consents=consents)
    }
    return ", ".join(carried)


def _consents(policy: Policy, consents: frozenset[str]) -> Iterator[str]:
    """What rests on a person's answer, and what the answer is."""
    asked = [purpose for purpose in PURPOSES if purpose in policy.asks_for]
    if asked:
        yield ""
        yield "Only where a person agreed:"
    answers = {purpose: "yes" if purpose in consents else "no" for purpose in asked}
    yield from facts((f"  {purpose}: {answer}", _rests_on(policy, purpose)) for purpose, answer in answers.items())


def _rests_on(policy: Policy, purpose: str) -> str:
    """Whole reports, then single fields of the others."""
    whole = [report for report, needed in policy.requires_consent.items() if needed == purpose]
    others = [policy.reports[report] for report in policy.reports if report not in whole]
    fields = {path: None for fields in others for path, decision in fields.items() if decision.consent == purpose}
    return ", ".join([*(f"every {report}" for report in whole), *fields])
