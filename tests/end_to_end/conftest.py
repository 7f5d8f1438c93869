"""Real gates, real sockets. What these modules assert is shown with its values, as in a test itself."""

import pytest

pytest.register_assert_rewrite("tests.end_to_end.wire", "tests.running_gate")
