"""The records that every contestant stores, and how the run takes them away again."""

import random
from collections.abc import Iterator

RECORD_BYTES = 64
# Readings leave in batches; each is confirmed, and forgotten, as a whole.
BATCH_RECORDS = 10


def records(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield `count` different records of RECORD_BYTES: a number, and bytes that do not compress."""
    generator = random.Random(seed)
    for number in range(count):
        yield number.to_bytes(8, "little") + generator.randbytes(RECORD_BYTES - 8)
