"""Base-2 exponential histograms of scale 3, while they are filled and as the schemas have them.

Bucket i counts values above 2^(i/8) and up to 2^((i+1)/8), for i from -24 to 191. While a histogram is filled, a value
is looked up among all borders at once, zero and the two ends included, so that one binary search says where it goes:

    place 0        zero (and below, which nothing measured can be)
    place 1        above 0 and up to 1/8: underflow
    place 2 to 217 buckets -24 to 191
    place 218      above 2^24: overflow

A border is the largest binary fraction of 53 bits that is not above 2^(m/8). A value has 53 bits as well, so it lies on
the same side of both, and every bucket is exact.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from math import isqrt, ldexp
from typing import Any

LEAST_BUCKET = -24
GREATEST_BUCKET = 191

Places = dict[int, int]
"""Place -> observations; only places that have some."""


def _border(eighths: int) -> float:
    """The largest float not above 2^(eighths/8); three square roots in whole numbers make an eighth root."""
    scaled = isqrt(isqrt(isqrt(1 << (eighths + 8 * 60))))
    excess = scaled.bit_length() - 53
    return ldexp(scaled >> excess, excess - 60)


BORDERS = (0.0, *(_border(eighths) for eighths in range(LEAST_BUCKET, GREATEST_BUCKET + 2)))

ZERO, UNDERFLOW, FIRST, OVERFLOW = 0, 1, 2, len(BORDERS)


def observe(places: Places, value: float) -> None:
    """Counts one value; raises TypeError for what is no number."""
    # As a float: comparing a whole number with each border on the way took twice the time.
    place = bisect_left(BORDERS, value + 0.0)
    places[place] = places.get(place, 0) + 1


def joined(many: Iterable[Places]) -> Places:
    """The observations of all."""
    found: Places = {}
    for places in many:
        for place, number in places.items():
            found[place] = found.get(place, 0) + number
    return found


def as_posted(places: Mapping[int, int]) -> dict[str, Any] | None:
    """The histogram as the schemas have it; None where nothing was observed."""
    if not places:
        return None
    filled = [place for place in places if FIRST <= place < OVERFLOW]
    least, greatest = min(filled, default=FIRST - LEAST_BUCKET), max(filled, default=FIRST - LEAST_BUCKET - 1)
    return {
        "zero_count": places.get(ZERO, 0),
        "underflow": places.get(UNDERFLOW, 0),
        "overflow": places.get(OVERFLOW, 0),
        "offset": least - FIRST + LEAST_BUCKET,
        "counts": [places.get(place, 0) for place in range(least, greatest + 1)],
    }
