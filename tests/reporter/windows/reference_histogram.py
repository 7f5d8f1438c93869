"""Base-2 exponential histograms of scale 3, made in another way than `reporter.windows.histogram` does it.

Bucket i counts values above 2^(i/8) and up to 2^((i+1)/8). A whole number v belongs to the bucket whose upper border is
the least power 2^(m/8) with v^8 <= 2^m, which needs no logarithm and so is right on every border.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

GREATEST_BUCKET = 191
"""Its upper border is 2^24; what is above is counted as overflow. Whole numbers never fall below bucket -1."""


@lru_cache(maxsize=1 << 17)
def bucket(value: int) -> int:
    """The index of the bucket of a whole number from 1 to 2^24."""
    return int(value**8 - 1).bit_length() - 1


def histogram(values: Iterable[int | None]) -> dict[str, Any] | None:
    """The histogram of whole numbers, as the schemas have it; None where there is none to observe."""
    observed = [value for value in values if value is not None]
    if not observed:
        return None
    buckets = Counter(bucket(value) for value in observed if value > 0)
    overflow = sum(buckets.pop(index) for index in [index for index in buckets if index > GREATEST_BUCKET])
    offset = min(buckets, default=0)
    return {
        "zero_count": observed.count(0),
        "underflow": 0,
        "overflow": overflow,
        "offset": offset,
        "counts": [buckets[index] for index in range(offset, max(buckets, default=offset - 1) + 1)],
    }
