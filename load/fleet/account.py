"""What became of every message that was posted: the sender's own account, kept apart from the gate's."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from load.fleet.batches import Batch, Message


@dataclass(slots=True)
class Account:
    """Counts of messages by (tier, kind) or (tier, kind, reason); a message is in exactly one of the first four.

    `accepted`: a 202 names it as accepted, so it is durable. `refused`: it will never be taken, for that reason.
    `in_doubt`: it was sent, perhaps more than once, and nobody knows. `unsent`: the gate never let it in.
    `turned_away` counts requests, by (tier, reason), that were refused for the moment and sent again; `resent` those
    that were sent again for whatever reason.
    """

    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    in_doubt: Counter[tuple[str, str]] = field(default_factory=Counter)
    unsent: Counter[tuple[str, str]] = field(default_factory=Counter)
    turned_away: Counter[tuple[str, str]] = field(default_factory=Counter)
    requests: int = 0
    resent: int = 0

    def enter_accepted(self, batch: Batch, messages: "tuple[Message, ...] | list[Message]") -> None:
        self.accepted.update((batch.tier, message.kind) for message in messages)

    def enter_refused(self, batch: Batch, message: Message, reason: str) -> None:
        self.refused[batch.tier, message.kind, reason] += 1

    def enter_left(self, batch: Batch, *, doubtful: bool) -> None:
        """The messages of a batch that was given up."""
        (self.in_doubt if doubtful else self.unsent).update((batch.tier, message.kind) for message in batch.messages)

    @property
    def settled(self) -> int:
        """Messages whose end is known, good or bad."""
        return sum(
            map(sum, (self.accepted.values(), self.refused.values(), self.in_doubt.values(), self.unsent.values()))
        )

    @property
    def reports(self) -> int:
        """Reports that were accepted, each once; copies are not among them."""
        return of_kind(self.accepted, "report")

    @property
    def copies(self) -> int:
        """Accepted messages that the product has to count as duplicates."""
        return of_kind(self.accepted, "copy")

    @property
    def is_whole(self) -> bool:
        """Everything was accepted, but for the messages that had to be refused, and those were."""
        unexpected = [key for key in self.refused if key[1] != "faulty"]
        return not (unexpected or self.in_doubt or self.unsent or of_kind(self.accepted, "faulty"))

    def document(self) -> dict[str, Any]:
        """For JSON: plain numbers, by tier where that tells something."""
        return {
            "reports": self.reports,
            "copies": self.copies,
            "refused": dict(sorted(_summed(self.refused, 2).items())),
            "refused_as_meant": sum(number for key, number in self.refused.items() if key[1] == "faulty"),
            "in_doubt": self.in_doubt.total(),
            "unsent": self.unsent.total(),
            "accepted_by_tier": dict(sorted(_summed(self.accepted, 0).items())),
            "turned_away": dict(sorted(_summed(self.turned_away, 1).items())),
            "requests": self.requests,
            "resent": self.resent,
        }


def of_kind(counts: "Counter[Any]", kind: str) -> int:
    """The sum of a count over tiers, for one kind of message."""
    return sum(number for key, number in counts.items() if key[1] == kind)


def _summed(counts: "Counter[Any]", part: int) -> dict[str, int]:
    """The sum of a count by one part of its keys."""
    found: dict[str, int] = {}
    for key, number in counts.items():
        found[key[part]] = found.get(key[part], 0) + number
    return found
