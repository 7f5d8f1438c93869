"""What Linux says of a process that is no child of the test."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether the process runs; a container without an init leaves ended ones in the table, as zombies."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second where it ends between opening and reading
        return False
