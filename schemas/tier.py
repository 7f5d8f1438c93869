"""A compliance tier as its TOML file says it: who may post, what may be kept, and why.

Unknown keys, actions and units of coarsening are refused: a policy that is not understood in full is not in force at
all. A field that no rule names is dropped.
"""

from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from schemas.errors import ContractError, Finding, nearest
from schemas.report_schema import CONSENT_PURPOSES
from schemas.toml_file import read_toml
from schemas.toml_lines import line_of

TokenKind = Literal["device", "class"]
KnownNames = Literal["model", "model_version", "digest", "region", "site", "mirror"]
RecordHeader = Literal["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"]

MS_PER_DAY = 86_400_000


class Strict(BaseModel):
    """Frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class AdmissionPolicy(Strict):
    """How much a tier may send, and which kinds of token it takes from where."""

    requests_per_second: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)]
    concurrency: Annotated[int, Field(ge=1)]
    trusted_networks: tuple[IPv4Network | IPv6Network, ...]
    inside: tuple[TokenKind, ...]
    outside: tuple[TokenKind, ...]


class RecordPolicy(Strict):
    """What may accompany a record in the log; keys, headers and timestamps are data as well."""

    timestamp: Literal["millisecond", "hour"]
    headers: tuple[RecordHeader, ...]

    @model_validator(mode="after")
    def _no_time_finer_than_the_timestamp(self) -> "RecordPolicy":
        if self.timestamp == "hour" and "ce_time" in self.headers:
            raise ValueError("ce_time would tell the time that timestamp = 'hour' hides; leave it out")
        return self


class PseudonymPolicy(Strict):
    """How long one key makes pseudonyms; two epochs cannot be linked once a key is destroyed."""

    epoch_days: Annotated[int, Field(ge=1, le=366)]


class TopicPolicy(Strict):
    """What the Kafka topics of a tier are like; how long records stay is `retention_days` and nothing here.

    The defaults are those of a cluster of three brokers. Nothing here changes a record, so a change of it needs no new
    policy version.
    """

    partitions: Annotated[int, Field(ge=1, le=1000)] = 6
    replication_factor: Annotated[int, Field(ge=1, le=15)] = 3
    min_insync_replicas: Annotated[int, Field(ge=1, le=15)] = 2
    cleanup_policy: Literal["delete"] = "delete"
    segment_hours: Annotated[int, Field(ge=1, le=168)] = 24
    """Retention removes whole closed segments, so this is how much longer than `retention_days` a record may stay."""
    readers: tuple[Annotated[str, Field(pattern=r"^User:[^\x00-\x1f\x7f*]+$")], ...] = ()

    @field_validator("cleanup_policy", mode="before")
    @classmethod
    def _nothing_compacts(cls, policy: object) -> object:
        if isinstance(policy, str) and "compact" in policy:
            raise ValueError("compact would remove records that were acknowledged, all but the newest of a key")
        return policy

    @model_validator(mode="after")
    def _there_are_as_many_copies(self) -> "TopicPolicy":
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas is more than replication_factor, so nothing could be appended")
        return self


class RefuseIfPresent(Strict):
    """A field whose presence refuses the whole report from an announced day on (UTC); until then it is stripped."""

    field: str
    since: date
    why: Annotated[str, Field(min_length=1)]

    @property
    def since_ms(self) -> int:
        """The beginning of that day, milliseconds since the epoch."""
        return int(datetime(self.since.year, self.since.month, self.since.day, tzinfo=UTC).timestamp() * 1000)


class RuleBase(Strict):
    """What every rule says: which fields, of which reports (all that have them if none is named), and why."""

    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    reports: tuple[str, ...] = ()
    why: Annotated[str, Field(min_length=1)]


class KeepingRule(RuleBase):
    """A rule that lets something through, perhaps only under a consent."""

    consent: str | None = None
    although: str | None = None
    """Why this tier may keep more here than the tier it is stricter than."""

    @field_validator("consent")
    @classmethod
    def _purpose_exists(cls, purpose: str | None) -> str | None:
        if purpose is not None and purpose not in CONSENT_PURPOSES:
            raise ValueError(f"no consent purpose of that name; {nearest(purpose, CONSENT_PURPOSES)}")
        return purpose


class Drop(RuleBase):
    action: Literal["drop"]


class Keep(KeepingRule):
    action: Literal["keep"]


class Pseudonymise(KeepingRule):
    """HMAC-SHA-256 under the tier's key of the window's epoch, 128 bits, as 32 hexadecimal digits."""

    action: Literal["pseudonymise"]


class CoarsenFloorHour(KeepingRule):
    """A time in milliseconds becomes the beginning of its hour."""

    action: Literal["coarsen"]
    by: Literal["floor_hour"]


class CoarsenCeilHour(KeepingRule):
    """A time in milliseconds becomes the end of its hour; a whole hour stays as it is."""

    action: Literal["coarsen"]
    by: Literal["ceil_hour"]


class CoarsenVersion(KeepingRule):
    """A dotted version keeps its first `parts` numbers; anything else becomes `other`."""

    action: Literal["coarsen"]
    by: Literal["version"]
    parts: Annotated[int, Field(ge=1, le=4)]


class CoarsenAddress(KeepingRule):
    """An IP address keeps its first bits, the rest zero; anything else becomes `other`."""

    action: Literal["coarsen"]
    by: Literal["address"]
    ipv4: Annotated[int, Field(ge=0, le=24)]
    ipv6: Annotated[int, Field(ge=0, le=48)]


class CoarsenBucket(KeepingRule):
    """A number becomes the greatest bound not above it, or the first bound if it is below all."""

    action: Literal["coarsen"]
    by: Literal["bucket"]
    bounds: Annotated[tuple[Annotated[int, Field(ge=-(2**63), lt=2**63)], ...], Field(min_length=1)]

    @field_validator("bounds")
    @classmethod
    def _rising(cls, bounds: tuple[int, ...]) -> tuple[int, ...]:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError("bounds must rise")
        return bounds


class CoarsenAllowed(KeepingRule):
    """A name stays if it is in the list; anything else becomes `other`."""

    action: Literal["coarsen"]
    by: Literal["allowed"]
    allowed: Annotated[tuple[str, ...], Field(min_length=1)]


class CoarsenKnown(KeepingRule):
    """A name stays if the operator's manifest has it; anything else becomes `other`."""

    action: Literal["coarsen"]
    by: Literal["known"]
    of: KnownNames


CoarsenRule = (
    CoarsenFloorHour | CoarsenCeilHour | CoarsenVersion | CoarsenAddress | CoarsenBucket | CoarsenAllowed | CoarsenKnown
)


def _which_rule(raw: Any) -> str | None:
    """The tag of a rule: its action, or `coarsen/<by>`."""
    if not isinstance(raw, dict):
        return None
    action, by = raw.get("action"), raw.get("by")
    return f"coarsen/{by}" if action == "coarsen" else str(action)


Rule = Annotated[
    Annotated[Drop, Tag("drop")]
    | Annotated[Keep, Tag("keep")]
    | Annotated[Pseudonymise, Tag("pseudonymise")]
    | Annotated[CoarsenFloorHour, Tag("coarsen/floor_hour")]
    | Annotated[CoarsenCeilHour, Tag("coarsen/ceil_hour")]
    | Annotated[CoarsenVersion, Tag("coarsen/version")]
    | Annotated[CoarsenAddress, Tag("coarsen/address")]
    | Annotated[CoarsenBucket, Tag("coarsen/bucket")]
    | Annotated[CoarsenAllowed, Tag("coarsen/allowed")]
    | Annotated[CoarsenKnown, Tag("coarsen/known")],
    Discriminator(_which_rule),
]


class Tier(Strict):
    """One policy file. Every number carries its unit in its name."""

    name: Annotated[str, Field(alias="tier", pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    version: Annotated[int, Field(ge=1, lt=2**31)]
    why: Annotated[str, Field(min_length=1)]
    stricter_than: str | None = None
    hostnames: tuple[str, ...] = ()
    reports: tuple[str, ...]
    k: Annotated[int, Field(ge=2)]
    min_tasks_per_row: Annotated[int, Field(ge=1)]
    window_minutes: Annotated[int, Field(ge=1, le=60)]
    horizon_days: Annotated[int, Field(ge=1)]
    retention_days: Annotated[int, Field(ge=1)]
    clock_ahead_seconds: Annotated[int, Field(ge=0)]
    admission: AdmissionPolicy
    record: RecordPolicy
    pseudonym: PseudonymPolicy | None = None
    topic: TopicPolicy = TopicPolicy()
    residency: dict[str, tuple[str, ...]]
    requires_consent: dict[str, str] = {}
    refuse_if_present: tuple[RefuseIfPresent, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(alias="rule")]

    @property
    def horizon_ms(self) -> int:
        """How old a window may be, milliseconds."""
        return self.horizon_days * MS_PER_DAY

    @property
    def retention_ms(self) -> int:
        """How long a record is kept, milliseconds."""
        return self.retention_days * MS_PER_DAY

    def stores_in(self, region: str | None) -> tuple[str, ...]:
        """The locations where reports of `region` may be stored; `*` stands for any location."""
        return self.residency.get(region or "*", self.residency.get("*", ()))

    @field_validator("name")
    @classmethod
    def _not_the_label_of_no_tier(cls, name: str) -> str:
        if name == "none":
            raise ValueError("none is how requests without a tier are counted; choose another name")
        return name

    @field_validator("hostnames")
    @classmethod
    def _lower_case(cls, hostnames: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(hostname.lower() for hostname in hostnames)

    @field_validator("requires_consent")
    @classmethod
    def _purposes_exist(cls, required: dict[str, str]) -> dict[str, str]:
        for purpose in required.values():
            if purpose not in CONSENT_PURPOSES:
                raise ValueError(f"no consent purpose {purpose!r}; {nearest(purpose, CONSENT_PURPOSES)}")
        return required

    @model_validator(mode="after")
    def _a_segment_is_shorter_than_the_retention(self) -> "Tier":
        if self.topic.segment_hours > 24 * self.retention_days:
            raise ValueError("topic.segment_hours is longer than retention_days, so records would stay twice as long")
        return self

    @model_validator(mode="after")
    def _pseudonyms_have_an_epoch(self) -> "Tier":
        if self.pseudonym is None and any(isinstance(rule, Pseudonymise) for rule in self.rules):
            raise ValueError("a rule pseudonymises, but [pseudonym] with epoch_days is missing")
        return self


def load_tier(file: Path) -> Tier:
    """The tier in `file`; raises `ContractError` with a line and a fix for each thing that is wrong."""
    text, content = read_toml(file)
    try:
        return Tier.model_validate(content)
    except ValidationError as error:
        raise ContractError(_finding(file, text, detail) for detail in error.errors()) from None


def _finding(file: Path, text: str, detail: Any) -> Finding:
    path = tuple(part for part in detail["loc"] if not _is_tag(part))
    return Finding(file=str(file), line=line_of(text, path), problem=_problem(path, detail), fix=_fix(detail))


def _is_tag(part: object) -> bool:
    """Pydantic puts the tag of the chosen rule into the location; it is not a key of the file."""
    return isinstance(part, str) and (part in ("drop", "keep", "pseudonymise") or part.startswith("coarsen/"))


def _problem(path: tuple[int | str, ...], detail: Any) -> str:
    dotted = ".".join(str(part) for part in path)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{dotted}: no action, or no coarsening, of that name"
    return f"{dotted or 'the file'}: {detail['msg'].removeprefix('Value error, ')}"


_MODELS: dict[str, type[Strict]] = {
    "admission": AdmissionPolicy,
    "record": RecordPolicy,
    "pseudonym": PseudonymPolicy,
    "topic": TopicPolicy,
    "refuse_if_present": RefuseIfPresent,
    "coarsen/floor_hour": CoarsenFloorHour,
    "coarsen/ceil_hour": CoarsenCeilHour,
    "coarsen/version": CoarsenVersion,
    "coarsen/address": CoarsenAddress,
    "coarsen/bucket": CoarsenBucket,
    "coarsen/allowed": CoarsenAllowed,
    "coarsen/known": CoarsenKnown,
    "drop": Drop,
    "keep": Keep,
    "pseudonymise": Pseudonymise,
}


def _fix(detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        model = next((_MODELS[str(part)] for part in reversed(detail["loc"][:-1]) if str(part) in _MODELS), Tier)
        names = [info.alias or name for name, info in model.model_fields.items()]
        return f"remove it, or {nearest(str(detail['loc'][-1]), names)}"
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return "action is one of keep, drop, coarsen, pseudonymise; coarsen needs by, one of " + ", ".join(
            tag.removeprefix("coarsen/") for tag in _MODELS if tag.startswith("coarsen/")
        )
    if detail["type"] == "missing":
        return "add the key; docs/policies.md lists every key with its unit"
    return "see docs/policies.md for what this key may hold"
