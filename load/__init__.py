"""Load and truth: a seeded fleet whose true answers are known, drivers, and benchmarks.

It may import any package and is imported by none but the command line.
"""
