"""Observations become reports: added up in a span of time, closed, and put into the queue as bytes.

    observations --add--> AddingUp --over--> Span --said--> values --made--> reports of a window --> Queue

The order in which a window is closed, which reporter/strip.py and reporter/windows/presence.py give the reasons for:
keys, what is told of them, rows of the same key together, small rows folded, the strip, presence flags, the strip once
more for these, bytes. All of a window is one transaction of the queue, with what the device remembers of its flags.
"""
