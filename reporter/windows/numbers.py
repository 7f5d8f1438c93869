"""Numbers as a report may carry them: whole, at least zero, within the type of their field."""

from typing import Any

GREATEST_INT = (1 << 31) - 1
GREATEST_LONG = (1 << 63) - 1


def whole(number: Any) -> int:
    """The nearest whole number of at least zero; zero for what is no number, and at most what a `long` holds."""
    if type(number) is int:
        return number if 0 <= number <= GREATEST_LONG else min(max(number, 0), GREATEST_LONG)
    try:
        return min(max(round(float(number)), 0), GREATEST_LONG)
    except Exception:  # noqa: BLE001  # an object of an application may raise what it likes
        return 0


def within_int(number: Any) -> int:
    """As `whole`, and at most what an `int` holds."""
    return number if type(number) is int and 0 <= number <= GREATEST_INT else min(whole(number), GREATEST_INT)


def rounded_to_two(number: int) -> int:
    """A whole number of at least zero to two significant digits; half of the last one goes up."""
    unit: int = 10 ** max(len(str(number)) - 2, 0)
    return (number + unit // 2) // unit * unit
