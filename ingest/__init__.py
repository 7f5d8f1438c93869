"""The gate: takes reports from devices, strips them by their tier's policy, and logs what is left.

Read `pipeline.py` first. This package imports `schemas` and none of the others.
"""
