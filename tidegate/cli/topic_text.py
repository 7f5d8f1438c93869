"""What `tidegate topics` prints: a plan as text and as JSON, with the names that topics have in the cluster."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ingest.topics.plan import Configure, Create, Delete, Grow, Refusal, Step, TopicPlan, configured, duration
from schemas.topics import IN_SYNC, RETENTION
from tidegate.cli.page import wrapped

MARKS = {Create: ("+", "green"), Configure: ("~", "yellow"), Grow: ("~", "yellow"), Delete: ("-", "red")}
VERBS = {Create: "create", Configure: "change", Grow: "grow", Delete: "delete"}
PAST = {Create: "created", Configure: "changed", Grow: "grown", Delete: "deleted"}


def tell_plan(console: Console, plan: TopicPlan, *, topic_prefix: str) -> None:
    """The difference, a line for each thing that is done, and for each that is not, why."""
    for step in plan.steps:
        mark, style = MARKS[type(step)]
        _tell(console, mark, style, f"{topic_prefix}{step.topic}: {_what(step)}")
    for (what, why, fix), topics in _alike(plan.refusals).items():
        names = [topic_prefix + topic for topic in topics]
        _tell(console, "!", "red", f"{', '.join(names)}: {what}")
        for line in (f"refused: {why}.", f"Instead: {fix}."):
            for part in wrapped(line, console.width, indent="    "):
                console.print(part)
    _tell_left_alone(console, plan, topic_prefix)


def _alike(refusals: Sequence[Refusal]) -> dict[tuple[str, str, str], list[str]]:
    """The topics by what is refused of them, and why: one cause often concerns all of them."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for refusal in refusals:
        found.setdefault((refusal.what, refusal.why, refusal.fix), []).append(refusal.topic)
    return found


def _tell(console: Console, mark: str, style: str, text: str) -> None:
    first, *further = wrapped(text, console.width - 4)
    console.print(Text(mark, style=style) + Text(f" {first}", style="default"))
    for line in further:
        console.print(f"    {line}")


def _tell_left_alone(console: Console, plan: TopicPlan, topic_prefix: str) -> None:
    if plan.unnamed:
        names = ", ".join(f"{topic_prefix}{name}" for name in plan.unnamed)
        for line in wrapped(f"left alone, since no policy names them: {names}", console.width):
            console.print(line, style="dim")
    if plan.foreign:
        others = "1 topic that is not ours is" if plan.foreign == 1 else f"{plan.foreign} topics that are not ours are"
        console.print(f"left alone: {others} in this cluster", style="dim")


def summary(plan: TopicPlan) -> str:
    """In one sentence what there is to do: `25 to create, 2 refused`."""
    counted = [f"{len(steps)} to {VERBS[kind]}" for kind, steps in _kinds(plan.steps)]
    if plan.refusals:
        counted.append(f"{len(plan.refusals)} refused")
    return ", ".join(counted) if counted else "nothing to do: the topics are as the policies say"


def done(steps: Sequence[Step]) -> str:
    """In one sentence what was done: `25 created`."""
    return ", ".join(f"{len(of_kind)} {PAST[kind]}" for kind, of_kind in _kinds(steps))


def _kinds(steps: Sequence[Step]) -> Iterator[tuple[type[Step], list[Step]]]:
    for kind in VERBS:
        if of_kind := [step for step in steps if isinstance(step, kind)]:
            yield kind, of_kind


def _what(step: Step) -> str:
    match step:
        case Create(spec):
            copies = f"replication factor {spec.replication_factor}, {IN_SYNC} {spec.configs[IN_SYNC]}"
            return f"create, {_partitions(spec.partitions)}, {copies}, kept {duration(spec.configs[RETENTION])}"
        case Configure():
            return configured(step)
        case Grow(was=was, to=to):
            return f"partitions from {was} to {to}"
        case Delete():
            return "delete, with every record in it"


def _partitions(number: int) -> str:
    return "1 partition" if number == 1 else f"{number} partitions"


def plan_document(plan: TopicPlan, *, topic_prefix: str) -> dict[str, Any]:
    """The difference as JSON."""
    return {
        "steps": [_step_document(step, topic_prefix) for step in plan.steps],
        "refusals": [_refusal_document(refusal, topic_prefix) for refusal in plan.refusals],
        "unnamed": [topic_prefix + name for name in plan.unnamed],
        "foreign": plan.foreign,
    }


def _step_document(step: Step, topic_prefix: str) -> dict[str, Any]:
    about = {"do": VERBS[type(step)], "topic": topic_prefix + step.topic}
    match step:
        case Create(spec):
            replicas = {"partitions": spec.partitions, "replication_factor": spec.replication_factor}
            return {**about, **replicas, "configs": dict(sorted(spec.configs.items()))}
        case Configure(key=key, was=was, to=to):
            return {**about, "key": key, "was": was, "to": to}
        case Grow(was=was, to=to):
            return {**about, "key": "partitions", "was": was, "to": to}
        case Delete():
            return about


def _refusal_document(refusal: Refusal, topic_prefix: str) -> dict[str, Any]:
    return {
        "topic": topic_prefix + refusal.topic,
        "what": refusal.what,
        "why": refusal.why,
        "fix": refusal.fix,
        "force": refusal.step is not None,
    }
