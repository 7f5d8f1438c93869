"""The peak of a process's memory, for processes that are to hold nothing but what is measured in them.

`load.children.peak_bytes` says the same, and brings the servers of the bench along.
"""


def peak_bytes() -> int:
    """The most memory that this process has had so far (VmHWM)."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  # pathlib would be measured
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
