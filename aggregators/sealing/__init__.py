"""Seals: what was applied becomes immutable files, from which the rollups can be made again."""
