"""Entries of the log to rows of tables: `rollups.py` is read first. A batch is in them whole, or not at all."""
