"""The topics that shall be against those that are: what to do, and what must not be done by accident. No I/O here.

A step that could lose records or break a promise is a *refusal* until somebody insists on it; one that Kafka, or this
program, cannot do at all stays a refusal whoever insists. Topics that nobody wants are named and left alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.topics import FOREVER, IN_SYNC, RETENTION, SEGMENT, TopicSpec

UNITS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1, "millisecond"))


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as a cluster has it: the fewest replicas of any of its partitions, and the settings in effect."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was seen of a cluster: how many brokers are up, our topics without prefix, and how many are not ours."""

    brokers: int
    topics: Mapping[str, FoundTopic]
    foreign: int


@dataclass(frozen=True, slots=True)
class Create:
    """Make a topic."""

    spec: TopicSpec

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class Configure:
    """Set one setting of a topic."""

    topic: str
    key: str
    was: str
    to: str


@dataclass(frozen=True, slots=True)
class Grow:
    """Give a topic more partitions."""

    topic: str
    was: int
    to: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a topic with everything in it."""

    topic: str


Step = Create | Configure | Grow | Delete


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is not done: what differs, what doing it would mean, what to do. `step` is done if somebody insists."""

    topic: str
    what: str
    why: str
    fix: str
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The difference. `unnamed` are topics of ours that no policy names; `foreign` counts those of others."""

    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    unnamed: tuple[str, ...]
    foreign: int

    def insisted(self) -> "TopicPlan":
        """The same plan where every refusal that can be overruled is a step."""
        overruled = tuple(refusal.step for refusal in self.refusals if refusal.step is not None)
        left = tuple(refusal for refusal in self.refusals if refusal.step is None)
        return TopicPlan(self.steps + overruled, left, self.unnamed, self.foreign)


def compare(wanted: Sequence[TopicSpec], cluster: Cluster, *, delete: Iterable[str] = ()) -> TopicPlan:
    """What `wanted` needs in `cluster`; `delete` names topics that shall go, which is refused until insisted on."""
    names = {topic.name for topic in wanted}
    found = cluster.topics
    differences = [
        difference
        for topic in wanted
        for difference in (
            _missing(topic, cluster) if topic.name not in found else _differences(topic, found[topic.name])
        )
    ]
    differences += [_deletion(name, wanted=name in names, there=name in found) for name in sorted(set(delete))]
    return TopicPlan(
        steps=tuple(one for one in differences if not isinstance(one, Refusal)),
        refusals=tuple(one for one in differences if isinstance(one, Refusal)),
        unnamed=tuple(sorted(found.keys() - names)),
        foreign=cluster.foreign,
    )


def _missing(topic: TopicSpec, cluster: Cluster) -> Iterator[Step | Refusal]:
    if topic.replication_factor <= cluster.brokers:
        yield Create(topic)
        return
    up = "1 broker is" if cluster.brokers == 1 else f"{cluster.brokers} brokers are"
    yield Refusal(
        topic.name,
        f"create with replication factor {topic.replication_factor}",
        f"{up} up, and every copy needs one of its own",
        "start the others; for development on one broker, --single-broker makes one copy",
    )


def _differences(topic: TopicSpec, found: FoundTopic) -> Iterator[Step | Refusal]:
    if found.replication_factor < topic.replication_factor:
        yield Refusal(
            topic.name,
            f"replication factor from {found.replication_factor} to {topic.replication_factor}",
            "copies are moved between brokers, which takes disk and network and is planned by hand",
            "use kafka-reassign-partitions.sh of Kafka, or write in the tier's [topic] what is there",
        )
    yield from _partitions(topic, found)
    for key, value in topic.configs.items():
        was = found.configs.get(key, "")
        if was != value:
            yield _configure(Configure(topic.name, key, was, value), retention_ms=topic.configs[RETENTION])


def _partitions(topic: TopicSpec, found: FoundTopic) -> Iterator[Refusal]:
    what = f"partitions from {found.partitions} to {topic.partitions}"
    if found.partitions > topic.partitions:
        yield Refusal(
            topic.name,
            what,
            "Kafka cannot take partitions away; only deleting the topic, with every record in it, would",
            f"write partitions = {found.partitions}, or give the report a new version, whose topic is a new one",
        )
    elif found.partitions < topic.partitions:
        yield Refusal(
            topic.name,
            what,
            "nothing moves, but from then on a key may be in two partitions: a retry can land in another one than its"
            " first try. The follower still counts it once, since it goes by report_id over all partitions; a consumer"
            " of your own that relies on one partition for each key does not",
            f"write partitions = {found.partitions}, or a new version of the report; else --force",
            Grow(topic.name, found.partitions, topic.partitions),
        )


def _configure(step: Configure, *, retention_ms: str) -> Step | Refusal:
    """The step, or the refusal of one that would remove records or need fewer copies for an acknowledgement.

    `retention_ms` is how long the topic shall keep records, as Kafka writes it.
    """
    why, fix = "", ""
    if step.key == RETENTION and _shorter(step.to, step.was):
        why = f"records older than {duration(step.to)} are deleted within minutes, for good"
        fix = "raise retention_days again, or see that nobody needs them (docs/topics.md); then --force"
    elif step.key == "cleanup.policy" and "delete" not in step.was:
        why = f"the topic let no record go for its age; those older than {duration(retention_ms)} are then deleted"
        fix = "see that nobody needs them; then --force"
    elif step.key == IN_SYNC and _less(step.to, step.was):
        why = (
            f"a 202 then promises {step.to} in-sync copies where it promised {step.was}, so losing that many disks"
            " can lose records that were acknowledged"
        )
        fix = "raise min_insync_replicas again; else --force"
    return Refusal(step.topic, configured(step), why, fix, step) if why else step


def _deletion(name: str, *, wanted: bool, there: bool) -> Refusal:
    if wanted:
        return Refusal(name, "delete", "a policy names it", "take the report, or the tier, out of the policies first")
    if not there:
        return Refusal(name, "delete", "there is no topic of that name", "see `tidegate topics plan` for the names")
    why = "every record in it is gone for good; what was not rolled up and sealed yet cannot be made again"
    return Refusal(name, "delete", why, "else it empties itself by its own retention; --force deletes it", Delete(name))


def _less(to: str, was: str) -> bool:
    return was.lstrip("-").isdigit() and int(to) < int(was)


def _shorter(to: str, was: str) -> bool:
    """Whether a retention is shorter than another; -1 is the longest."""
    if int(to) == FOREVER:
        return False
    return was == str(FOREVER) or _less(to, was)


def configured(step: Configure) -> str:
    """What a setting is changed from and to, with times as people say them."""
    was, to = (f"{value} ({duration(value)})" if _is_time(step.key, value) else value for value in (step.was, step.to))
    return f"{step.key} from {was or 'nothing'} to {to}"


def _is_time(key: str, value: str) -> bool:
    return key in (RETENTION, SEGMENT) and value.lstrip("-").isdigit()


def duration(ms: str) -> str:
    """Milliseconds as Kafka writes them, in words: `90 days`, `10 minutes`, `for ever`."""
    number = int(ms)
    if number == FOREVER:
        return "for ever"
    unit, word = next((unit, word) for unit, word in UNITS if number % unit == 0)
    return f"{number // unit} {word}" + ("" if number == unit else "s")
