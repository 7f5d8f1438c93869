"""The manifest and the prices as TOML: what is printed loads as what it was printed from."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.manifest import Manifest
from schemas.prices import Prices, routes
from tidegate.cli.operator_toml import WIDTH, manifest_toml, prices_toml

PLAIN = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=",")
NAMES = st.text(PLAIN, min_size=1, max_size=12).filter(lambda name: name.lower() not in ("other", "none", "*"))
AMOUNTS = st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6})?", fullmatch=True)


@st.composite
def models(draw: st.DrawFn, regions: list[str]) -> dict[str, Any]:
    """A model whose entries refer to its own versions and to `regions`."""
    versions = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    wanted = draw(
        st.lists(st.tuples(st.sampled_from(["*", *regions]), st.sampled_from(versions)), unique=True, max_size=4)
    )
    digests = st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
    return {
        "name": draw(NAMES),
        "versions": [{"version": version, "digest": draw(digests)} for version in versions],
        "revoked": draw(st.lists(NAMES, unique=True, max_size=3)) if not wanted else [],
        "wanted": [
            {"region": region, "version": version, "share": draw(st.floats(0, 0.25))} for region, version in wanted
        ],
    }


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """A manifest that holds together."""
    regions = draw(st.lists(NAMES, min_size=1, max_size=30, unique=True))
    named = draw(st.lists(models(regions), max_size=3, unique_by=lambda model: model["name"]))
    return Manifest.model_validate({"regions": regions, "sites": draw(st.lists(NAMES, unique=True)), "models": named})


@given(manifests())
def test_a_manifest_loads_as_itself(manifest: Manifest) -> None:
    """Whatever is in a manifest, its TOML is the same manifest, quotes, backslashes and tiny shares included."""
    assert Manifest.model_validate(tomllib.loads(manifest_toml(manifest))) == manifest


@given(
    st.dictionaries(st.tuples(st.sampled_from(routes()), NAMES | st.just("*")), st.tuples(AMOUNTS, AMOUNTS), max_size=5)
)
def test_prices_load_as_themselves(priced: dict[tuple[str, str], tuple[str, str]]) -> None:
    """Whatever is in a price list, its TOML is the same price list, to the last zero."""
    rows = [
        {"route": route, "model": model, "input_per_million": tokens_in, "output_per_million": tokens_out}
        for (route, model), (tokens_in, tokens_out) in priced.items()
    ]
    prices = Prices.model_validate({"currency": "EUR", "price": rows})
    assert Prices.model_validate(tomllib.loads(prices_toml(prices))) == prices


def test_a_long_list_has_an_item_a_line() -> None:
    """A list that is longer than a line is broken between its items, so that it can be read and compared."""
    manifest = Manifest.model_validate({"sites": [f"site-{number}" for number in range(40)]})
    lines = manifest_toml(manifest).splitlines()
    assert '  "site-39",' in lines
    assert max(map(len, lines)) <= WIDTH
