"""The manifest and the prices as TOML: what `show` prints can be edited and put again.

Names are printable ASCII, so that a JSON string of them is a TOML string as well.
"""

import json
from collections.abc import Iterator, Sequence

from schemas.manifest import Manifest, Model, Version
from schemas.prices import Prices

WIDTH = 100
"""Columns up to which a list stays on one line."""


def manifest_toml(manifest: Manifest) -> str:
    """A manifest file that loads as `manifest`."""
    return "\n".join(_manifest_lines(manifest)) + "\n"


def prices_toml(prices: Prices) -> str:
    """A file of prices that loads as `prices`."""
    lines = [f"currency = {json.dumps(prices.currency)}"]
    for price in prices.price:
        lines += ["", "[[price]]", *(f"{key} = {json.dumps(value)}" for key, value in price.model_dump().items())]
    return "\n".join(lines) + "\n"


def _manifest_lines(manifest: Manifest) -> Iterator[str]:
    for key, names in (("regions", manifest.regions), ("sites", manifest.sites), ("mirrors", manifest.mirrors)):
        if names:
            yield _list(key, [json.dumps(name) for name in names])
    for model in manifest.models:
        yield from _model_lines(model)


def _model_lines(model: Model) -> Iterator[str]:
    yield from ("", "[[models]]", f"name = {json.dumps(model.name)}")
    if model.versions:
        yield _list("versions", [_version(version) for version in model.versions])
    if model.revoked:
        yield _list("revoked", [json.dumps(version) for version in model.revoked])
    for wanted in model.wanted:
        yield from ("", "[[models.wanted]]", f"region = {json.dumps(wanted.region)}")
        yield from (f"version = {json.dumps(wanted.version)}", f"share = {wanted.share!r}")


def _version(version: Version) -> str:
    named = f"version = {json.dumps(version.version)}"
    return f"{{{named}}}" if version.digest is None else f"{{{named}, digest = {json.dumps(version.digest)}}}"


def _list(key: str, items: Sequence[str]) -> str:
    line = f"{key} = [{', '.join(items)}]"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{key} = [", *(f"  {item}," for item in items), "]"])
