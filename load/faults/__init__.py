"""Faults injected into real processes, by a seeded schedule, and what must hold whatever happens.

    python -m load.faults --rounds 200 --seed 7 --log embedded

Read `rounds.py` first: clients post (`clients.py`) and write down what they were told (`told.py`), a fault happens to
the gate, its storage or its network (`injections.py` and beside it), the fault ends, everything drains, and what was
told is held against what is in the log, in the rollups and on every disk (`evidence.py`, `verdict.py`, `leaked.py`).
"""
