"""That the queue cannot be used. By itself, so that whoever only catches it need not load the queue."""

REASONS = ("disk_full", "locked", "unwritable", "newer", "damaged")


class Unavailable(Exception):
    """The queue cannot be used at the moment; `reason` says why: one of `REASONS`. Nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
