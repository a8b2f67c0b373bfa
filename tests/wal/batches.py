"""Record batches for the WAL's tests: a true header and CRC over bytes that are no records."""

import random

from infra.records.batch import CRC_START, HEADER, HEADER_BYTES, PREFIX_BYTES, crc_of


def batch_of_size(size: int, seed: int) -> bytearray:
    """A whole batch of `size` bytes (at least 61) whose records are noise."""
    batch = bytearray(HEADER_BYTES) + random.Random(seed).randbytes(max(0, size - HEADER_BYTES))
    fields = (0, len(batch) - PREFIX_BYTES, 0, 2, 0, 0, 0, 1000 + seed, 1000 + seed, -1, -1, -1, 1)
    HEADER.pack_into(batch, 0, *fields)
    batch[17:CRC_START] = crc_of(batch).to_bytes(4, "big")
    return batch
