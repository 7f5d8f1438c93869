"""Which answers go compressed, and which not at all because their reader has them."""

import pytest

from ingest.http.negotiation import accepts_gzip, is_known

CODINGS = [
    pytest.param("", False, id="nothing said, as curl does"),
    pytest.param("gzip", True, id="gzip alone"),
    pytest.param("gzip, deflate, br, zstd", True, id="a browser"),
    pytest.param("br;q=1.0, GZIP ; Q=0.8, *;q=0.1", True, id="weights and blanks"),
    pytest.param("identity", False, id="http.client unless told otherwise"),
    pytest.param("br, deflate", False, id="other codings"),
    pytest.param("gzip;q=0", False, id="refused"),
    pytest.param("gzip;q=0.000, *;q=1", False, id="refused by name, whatever the rest"),
    pytest.param("*", True, id="anything"),
    pytest.param("*;q=0", False, id="nothing"),
    pytest.param("identity;q=1, gzip;q=0.5", False, id="no coding is wanted more"),
    pytest.param("identity;q=0.5, gzip", True, id="gzip is wanted more"),
    pytest.param("identity, gzip", True, id="both alike"),
    pytest.param("gzip;q=much", False, id="a weight that is no number"),
    pytest.param("gzip;q=nan", False, id="not even comparable"),
    pytest.param("gzipped, xgzip", False, id="names that only look like it"),
    pytest.param(",;,=;q=", False, id="nothing that can be read"),
]


@pytest.mark.parametrize(("said", "allowed"), CODINGS)
def test_whether_gzip_is_allowed(said: str, *, allowed: bool) -> None:
    """An answer is compressed where its reader names gzip, or anything, and neither refuses it nor wants it less."""
    assert accepts_gzip(said) is allowed


TAGS = [
    pytest.param("", False, id="nothing said"),
    pytest.param('W/"1f"', True, id="as it was sent"),
    pytest.param('"1f"', True, id="a proxy or an older gate took it for strong"),
    pytest.param('"2f", W/"1f"', True, id="one of several"),
    pytest.param("*", True, id="any"),
    pytest.param('W/"2f"', False, id="another one"),
    pytest.param('"1f', False, id="half a tag"),
    pytest.param("1f", False, id="no tag"),
    pytest.param('"a1f", "1fa"', False, id="tags that contain it"),
]


@pytest.mark.parametrize(("said", "known"), TAGS)
@pytest.mark.parametrize("etag", ['W/"1f"', '"1f"'])
def test_whether_the_reader_has_it(etag: str, said: str, *, known: bool) -> None:
    """A tag is compared by what is between its quotes, with each that the reader lists."""
    assert is_known(etag, said) is known
