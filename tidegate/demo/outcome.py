"""How a demonstration ended, in numbers: what `tidegate demo --once --json` prints."""

from dataclasses import dataclass
from typing import Any

from load.fleet.account import Account
from load.fleet.search import Searched


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was found. `mismatches` are between the product and the truth; none of them names a device."""

    account: Account
    devices: int
    tasks: int
    seed: int
    mismatches: tuple[str, ...]
    searched: Searched
    seconds: float

    @property
    def is_well(self) -> bool:
        """Everything was taken as it should be, equals the truth, and leaks nothing in any place searched."""
        return self.account.is_whole and not (self.mismatches or self.searched.leaks or self.searched.without_control)

    def document(self) -> dict[str, Any]:
        """For JSON. `rejected` are reports made to be refused, which is why they are posted again without the field."""
        account = self.account
        return {
            "posted": account.settled,
            "accepted": account.reports,
            "duplicates": account.copies,
            "rejected": account.refused.total(),
            "in_doubt": account.in_doubt.total(),
            "tasks": self.tasks,
            "devices": self.devices,
            "seed": self.seed,
            "truth_equal": not self.mismatches,
            "mismatches": list(self.mismatches),
            "identifier_leaks": len(self.searched.leaks),
            "leaks": [leak._asdict() for leak in self.searched.leaks],
            "places_searched": len(self.searched.places),
            "places_without_control": list(self.searched.without_control),
            "all_is_well": self.is_well,
            "seconds": round(self.seconds, 1),
        }
