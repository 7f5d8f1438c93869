"""What a GET may say about the answer that it wants (RFC 9110): whether compressed, and whether at all. Pure."""

import re

WEIGHT = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*")
OPAQUE_TAG = re.compile(r'"[^"]*"')


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is allowed and no coding is not wanted more; who says nothing gets no coding."""
    weights = dict(_weighted(part) for part in accept_encoding.lower().split(","))
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def is_known(etag: str, if_none_match: str) -> bool:
    """Whether the sender has what `etag` stands for, by the weak comparison: a proxy may have added or lost a `W/`."""
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in OPAQUE_TAG.findall(if_none_match)


def _weighted(part: str) -> tuple[str, float]:
    """A coding and its weight; one that cannot be read is 0, for what is not understood is not what was asked for."""
    name, _, parameter = part.partition(";")
    weight = WEIGHT.fullmatch(parameter or "q=1")
    return name.strip(), float(weight[1]) if weight else 0.0
