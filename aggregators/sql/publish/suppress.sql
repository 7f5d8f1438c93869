-- What happens to a cell; tests/aggregators/suppression.py says the same in Python, and a test holds the two equal.
-- shown: the bound with which its values are published, NULL where they are not. k is 0 where nothing is suppressed.
CREATE OR REPLACE TEMP MACRO verdict(bound, k, shown, differs, banded, band_shown) AS
  CASE
    WHEN shown IS NOT NULL AND NOT differs THEN 'stays'
    WHEN shown IS NOT NULL AND bound - shown >= k THEN 'published'
    WHEN shown IS NOT NULL THEN 'waits'
    WHEN bound >= k THEN 'published'
    WHEN banded AND band_shown THEN 'stays'
    WHEN banded THEN 'banded'
    ELSE 'withheld'
  END;
