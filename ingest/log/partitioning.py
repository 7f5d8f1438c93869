"""Which partition of a topic a key belongs to, for the logs that decide it themselves."""

from zlib import crc32


def partition_number(key: bytes, partitions: int) -> int:
    """The same number for the same arguments in every process and release: what is stored depends on it.

    CRC-32 because it is stable, compiled and even enough for report ids, which are random; `hash()` is salted.
    """
    return crc32(key) % partitions
