"""What one row, or one report without rows, adds up: counts, histograms, and what was said last or was the worst."""

from collections.abc import Collection
from typing import Any

from reporter.windows import vocabulary
from reporter.windows.histogram import Places, as_posted, joined, observe
from reporter.windows.numbers import rounded_to_two, whole
from reporter.windows.vocabulary import Row


class Sums:
    """Numbers may be anything that an application says: `whole` makes them so."""

    __slots__ = ("counts", "observed", "words")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.observed: dict[str, Places] = {}
        self.words: dict[str, tuple[int, Any]] = {}

    def add(self, **counts: Any) -> None:
        """Adds to counts."""
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + whole(number)

    def observe(self, **values: Any) -> None:
        """Counts values in histograms; None is no observation."""
        for name, value in values.items():
            if value is not None:
                observe(self.observed.setdefault(name, {}), whole(value))

    def say(self, **words: Any) -> None:
        """What holds at present; None leaves what was said before."""
        self.words |= {name: (0, _kept(word)) for name, word in words.items() if word is not None}

    def rank(self, name: str, rank: int, word: Any) -> None:
        """What was the worst: the word of the least rank stands."""
        if name not in self.words or rank <= self.words[name][0]:
            self.words[name] = rank, word

    def peak(self, name: str, number: Any) -> None:
        """The largest of the numbers stands."""
        self.rank(name, -whole(number), whole(number))

    def least(self, name: str, number: Any) -> None:
        """The smallest of the numbers stands."""
        self.rank(name, whole(number), whole(number))

    def take_in(self, other: "Sums") -> None:
        """Adds another one to this."""
        self.add(**other.counts)
        for name, (rank, word) in other.words.items():
            self.rank(name, rank, word)
        for name, places in other.observed.items():
            self.observed[name] = joined((self.observed.get(name, {}), places))

    def values(self, rounded: Collection[str] = ()) -> Row:
        """All of it under the names that it was given; the counts in `rounded` keep two significant digits."""
        counts = {name: rounded_to_two(number) if name in rounded else number for name, number in self.counts.items()}
        words = {name: word for name, (_, word) in self.words.items()}
        return {**words, **counts, **{name: as_posted(places) for name, places in self.observed.items()}}


def _kept(word: Any) -> Any:
    """A number, a truth or a name: nothing long and no object of an application is held until the window is closed."""
    return word if type(word) in (bool, int, float) else vocabulary.name(word)
