"""The verdict on the product: silent where everything is as it should be, and not silent about one wrong number."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from load.fleet.nouns import Fleet
from load.fleet.reference_suppression import Published, Withheld, publish
from load.fleet.scenario import make_fleet
from load.fleet.truth import all_arrived, phases
from load.fleet.truth_cells import Cell, CubeName, Grain, Truth
from load.fleet.truth_policy import manifest_names, policies
from load.fleet.truth_remarks import Receipts, Remarks, receipts_truth, remarks_truth
from load.fleet.verdict import Asked, answers_mismatches, internal_mismatches
from load.fleet.windows import DeviceReport, reports
from tests.load.fleet.conftest import NOW
from tests.load.fleet.product import TOKENS, Product

DAY_MS = 86_400_000
LATE = 13
"""One report in so many is late, and one sent twice."""

MEASURES = ("A1", "A3", "F1", "F2", "F3", "F4", "F5", "R1", "R2", "R3", "R4", "R5", "V1", "V2")


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """A day of 110 devices: enough of them in each tier for a cell to be published, and for one to be withheld."""
    return make_fleet(devices=110, days=1, seed=5, now_ms=NOW)


@pytest.fixture(scope="module")
def posted(fleet: Fleet) -> list[DeviceReport]:
    """Every report of it."""
    return list(reports(fleet))


@pytest.fixture(scope="module")
def late(posted: list[DeviceReport]) -> set[tuple[int, str, int]]:
    """The windows that arrive after the first publication."""
    return {(one.device, one.report, one.start) for one in posted[::LATE]}


@pytest.fixture(scope="module")
def product(fleet: Fleet, posted: list[DeviceReport], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Two publications: one without what is late, one with all, and some of it twice."""
    product = Product(fleet, tmp_path_factory.mktemp("rollups"))
    product.take(one for place, one in enumerate(posted) if place % LATE)
    product.publish()
    product.take([*posted[::LATE], *posted[1::LATE]])
    product.publish()
    yield product
    product.close()


@pytest.fixture(scope="module")
def truths(fleet: Fleet, late: set[tuple[int, str, int]]) -> list[Truth]:
    """The truth without the late windows, and that of all."""
    return phases(fleet, [lambda *window: window not in late, all_arrived])


@pytest.fixture(scope="module")
def everything(truths: list[Truth]) -> Truth:
    """The truth of all windows."""
    return truths[-1]


@pytest.fixture(scope="module")
def published(truths: list[Truth], fleet: Fleet) -> Published:
    """What two publications show of the truth."""
    k = {tier: policy.k for tier, policy in policies().items()}
    return publish(truths, k, complete_to=[fleet.end_ms, fleet.end_ms])


@pytest.fixture(scope="module")
def remarks(fleet: Fleet, posted: list[DeviceReport]) -> Remarks:
    """The truth of A1."""
    return remarks_truth(((one.tier, one.report, one.values) for one in posted), manifest_names(fleet.manifest))


@pytest.fixture(scope="module")
def receipts(posted: list[DeviceReport]) -> dict[str, Receipts]:
    """The truth of A3."""
    return receipts_truth((one.tier, one.report, one.values["report_id"]) for one in [*posted, *posted[1::LATE]])


@pytest.fixture(scope="module")
def asked(
    fleet: Fleet, product: Product, published: Published, remarks: Remarks, receipts: dict[str, Receipts]
) -> Iterator[Asked]:
    """The product behind a port, and what it should answer."""
    with product.serving() as url:
        yield Asked(
            url=url,
            tokens=TOKENS,
            windows=(fleet.start_ms, fleet.end_ms),
            received=(product.now_ms() - DAY_MS, product.now_ms() + DAY_MS),
            complete_to=fleet.end_ms,
            published=published,
            remarks=remarks,
            receipts=receipts,
            k={tier: policy.k for tier, policy in policies().items()},
            currency=fleet.prices["currency"],
        )


def test_the_answers_are_the_truth_as_far_as_it_is_published(asked: Asked) -> None:
    """Every measure over HTTP reads as the reference publishes it in two publications, withheld counts included."""
    assert answers_mismatches(asked) == []


def test_the_rollups_are_the_truth_and_each_wrong_number_is_found(
    product: Product, everything: Truth, remarks: Remarks, receipts: dict[str, Receipts]
) -> None:
    """Every cell, remark and receipt is as the tasks say, but for those of which the truth was altered by hand."""
    wrong = dict(everything)
    named = [CubeName(*name) for name in WRONG]
    keys = [next(iter(everything[name])) for name in named]
    for name, key, change in zip(named, keys, WRONG.values(), strict=True):
        wrong[name] = {**everything[name], key: change(everything[name][key])}
    gone = CubeName("F4", (), "day")
    missing, *_ = wrong[gone]
    wrong[gone] = {key: cell for key, cell in wrong[gone].items() if key != missing}
    one_more = replace(remarks, values=remarks.values + Counter({next(iter(remarks.values)): 1}))
    posts = {**receipts, "byod": replace(receipts["byod"], duplicates=receipts["byod"].duplicates + 1)}
    with product.connection() as connection:
        found = internal_mismatches(connection, wrong, remarks=one_more, receipts=posts)
    told = [text for text in found if not text.startswith(("A1", "A3"))]
    assert sorted({text.partition(":")[0] for text in told}) == sorted(
        f"{name.measure} [{', '.join(name.dims)}] {name.grain} ({', '.join(map(str, key))})"
        for name, key in zip([*named, gone], [*keys, missing], strict=True)
    )
    # A remark is in a cell of each of the four cubes by hours and by days, a duplicate in the hours and the days.
    assert sum(text.startswith("A1") for text in found) == 8
    assert sum(text.startswith("A3 ") for text in found) == 2


def _slower(cell: Cell | None) -> Cell:
    assert cell is not None
    return replace(cell, observations={name: [one * 2 for one in seen] for name, seen in cell.observations.items()})


WRONG: dict[tuple[str, tuple[str, ...], Grain], Callable[[Cell], Cell]] = {
    ("R1", ("route",), "hour"): lambda cell: replace(cell, values={"tasks": cell.values["tasks"] + 1}),
    ("F3", ("kind", "from_zone", "to_zone"), "day"): lambda cell: replace(cell, values={**cell.values, "bytes": -1}),
    ("V1", ("region",), "day"): lambda cell: replace(cell, devices=cell.devices + 1),
    ("R4", ("route",), "day"): _slower,
    ("R3", ("data_class",), "hour"): lambda cell: replace(cell, values={**cell.values, "refused": 10**6}),
}


def test_an_empty_truth_is_no_truth(product: Product) -> None:
    """Comparing nothing is told for each measure, and so is each cube that the truth leaves out."""
    with product.connection() as connection:
        found = internal_mismatches(connection, {}, remarks=Remarks(), receipts={})
    assert [text for text in found if "nothing was compared" in text] == [
        f"{measure}: nothing was compared" for measure in MEASURES
    ]
    assert any("the truth has no such cube" in text for text in found)


def test_each_wrong_number_is_found_in_the_answers(asked: Asked) -> None:
    """A value, a latency, a withheld count, a band and a receipt that are not as published are each told."""
    routes, latencies, bands = (
        CubeName("R1", ("route",), "hour"),
        CubeName("R4", ("route",), "day"),
        CubeName("F2", ("rule",), "day"),
    )
    right = asked.published
    cells = {name: dict(right.cells[name]) for name in (routes, latencies, bands)}
    first = next(key for key, cell in cells[routes].items() if cell)
    cells[routes][first] = Cell({"tasks": -5}, {}, 9)
    slow = next(key for key, cell in cells[latencies].items() if cell)
    cells[latencies][slow] = _slower(cells[latencies][slow])
    band = next(key for key, cell in cells[bands].items() if cell is None)
    cells[bands][band] = Cell({"tasks": 1}, {}, 9)
    withheld = {**right.withheld, (latencies, "managed"): Withheld(99, 0)}
    receipts = {**asked.receipts, "managed": Receipts(stored=1, duplicates=1)}
    found = answers_mismatches(replace(asked, published=Published(cells, withheld), receipts=receipts))
    for text in (
        f"R1 [route] hour over HTTP ({', '.join(map(str, first))}): tasks is ",
        f"R4 [route] day over HTTP ({', '.join(map(str, slow))}): latency_p50 is ",
        "R4 [route] day over HTTP: withheld and waiting are ",
        f"F2 [rule] day over HTTP ({', '.join(map(str, band))}): tasks is None, expected 1",
        "A3 hour over HTTP (managed): accepted is ",
    ):
        assert any(one.startswith(text) for one in found), text


def test_who_may_not_ask_finds_out(asked: Asked) -> None:
    """A refusal is a mismatch of its own, and nothing that was compared."""
    name = CubeName("R1", ("route",), "day")
    one = Published({name: asked.published.cells[name]}, {})
    found = answers_mismatches(replace(asked, published=one, tokens={**TOKENS, "analyst": TOKENS["auditor"]}))
    assert found[:2] == ["R1: nothing was compared", "R1 [route] day over HTTP: answered 403"]
