"""The truth of V1 and V2, by hand. The manifest wants 2.0 of small-chat; in the south 1.0; 0.9 is revoked."""

from tests.load.fleet.hand_made import HOUR, MIDNIGHT, NINE, cube, device, file, fleet, proven, values


def test_v1_goes_by_what_the_region_wants() -> None:
    """A region's own entries, one of share 0 among them, stand in place of those for all regions."""
    files = [
        file(0),
        file(1, version="2.0", wanted_version="1.0"),
        file(2, version="1.0", wanted_version=None),
    ]
    devices = [device(0), device(1, region="south"), device(2, region="south")]
    assert values(cube(fleet(devices, files=files), "V1", "model", "region")) == {
        (NINE, "managed", "small-chat", "north"): {"installations": 1, "on_wanted": 1, "agreeing": 1},
        (NINE, "managed", "small-chat", "south"): {"installations": 2, "on_wanted": 1, "agreeing": 1},
    }


def test_v1_leaves_out_what_is_not_in_use_or_not_the_operators() -> None:
    """A staged file and a model that the manifest does not name are no installations."""
    files = [file(0), file(0, version="1.0", serving=False), file(0, model="private-tune")]
    assert values(cube(fleet([device(0)], files=files), "V1")) == {
        (NINE, "managed"): {"installations": 1, "on_wanted": 1, "agreeing": 1}
    }


def test_an_installation_counts_once_a_day() -> None:
    """Reported twice on a day it is one installation of the day, and one of each hour."""
    of = fleet([device(0)], files=[file(0), file(0, NINE + 12 * HOUR)])
    once = {"installations": 1, "on_wanted": 1, "agreeing": 1}
    assert values(cube(of, "V1")) == {(NINE, "managed"): once, (NINE + 12 * HOUR, "managed"): once}
    assert values(cube(of, "V1", grain="day")) == {(MIDNIGHT, "managed"): once}


def test_v2_believes_the_manifest_before_the_device() -> None:
    """A version that the manifest revokes is revoked, whatever state the device claims."""
    files = [
        file(0, version="0.9", tasks=3, removal="not_removed"),
        file(0, version="1.0", state="stale", tasks=2),
        file(0, tasks=5),
    ]
    of = fleet([device(0)], files=files)
    assert values(cube(of, "V2", "model", "status")) == {
        (NINE, "managed", "small-chat", "revoked"): {"installations": 1, "tasks": 3},
        (NINE, "managed", "small-chat", "stale"): {"installations": 1, "tasks": 2},
        (NINE, "managed", "small-chat", "current"): {"installations": 1, "tasks": 5},
    }


def test_v2_tells_the_removal_of_revoked_files_in_use_or_not() -> None:
    """A file that is no longer in use is still counted by when it was removed."""
    files = [
        file(0, version="0.9", removal="not_removed"),
        file(1, version="0.9", state="revoked", removal="h1_to_24", serving=False),
        file(1),
    ]
    of = fleet([device(0), device(1)], files=files)
    assert values(cube(of, "V2", "removal")) == {
        (NINE, "managed", "not_removed"): {"installations": 1, "tasks": 0},
        (NINE, "managed", "h1_to_24"): {"installations": 1, "tasks": 0},
    }
    assert values(cube(of, "V2", "status")) == {
        (NINE, "managed", "revoked"): {"installations": 1, "tasks": 0},
        (NINE, "managed", "current"): {"installations": 1, "tasks": 0},
    }


def test_two_files_that_became_alike_prove_one_device() -> None:
    """A byod device's two unknown versions read alike at last; they are two installations of one device."""
    files = [file(0, version="11"), file(0, version="12", state="stale")]
    found = cube(fleet([device(0, "byod")], files=files), "V1")
    assert (values(found), proven(found)) == (
        {(NINE, "byod"): {"installations": 2, "on_wanted": 0, "agreeing": 2}},
        {(NINE, "byod"): 1},
    )
