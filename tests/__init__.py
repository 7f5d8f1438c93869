"""The tests mirror the packages; `contract/` and `golden/` hold what belongs to no single one.

Hypothesis is set up here because this module is imported before every test: a failure prints the blob that repeats it,
and no example fails for being slow, since a deadline measures the machine and not the code.
"""

from hypothesis import settings

settings.register_profile("tidegate", print_blob=True, deadline=None)
settings.load_profile("tidegate")
