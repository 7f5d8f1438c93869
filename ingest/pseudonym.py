"""The pseudonym of a value: one name for it under one key, and without the key nobody can tell whose it is."""

import hmac

PSEUDONYM_BYTES = 16
"""128 bits: half of SHA-256's output, the least that RFC 2104 section 5 advises, and no collision among any fleet."""


def pseudonym(key: bytes, path: str, value: bytes) -> bytes:
    """HMAC-SHA-256(key, path 00 value), truncated to 128 bits, as 32 lower-case hexadecimal digits.

    The field's path is part of it, so that one text in two fields has two pseudonyms.
    """
    return hmac.digest(key, path.encode() + b"\0" + value, "sha256")[:PSEUDONYM_BYTES].hex().encode()
