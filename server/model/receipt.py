"""The receipt of a work item: a digest of its samples, which tells whether two workers computed the same."""

import hashlib
from collections.abc import Iterable

RECEIPT_CHARACTERS = 64


def receipt_of(planes: Iterable[memoryview | bytes | bytearray]) -> str:
    """SHA-256, in hexadecimal, of how long each buffer is and what it holds, in order."""
    digest = hashlib.sha256()
    for plane in planes:
        data = memoryview(plane).cast("B")
        digest.update(data.nbytes.to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
