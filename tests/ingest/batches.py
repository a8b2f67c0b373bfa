"""Record batches for tests of the write side: real headers with a true CRC, records that nobody decodes."""

from infra.records.batch import HEADER, BatchHeader, crc_of


def make_batch(
    count: int = 1,
    *,
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
    timestamp: int = 1_000,
    max_timestamp: int | None = None,
    attributes: int = 0,
    payload: bytes = b"records",
) -> memoryview:
    """A batch as a producer sends it (base offset 0), in memory of its own, writable."""
    greatest = timestamp if max_timestamp is None else max_timestamp
    length = HEADER.size + len(payload) - 12
    batch = bytearray(HEADER.size + len(payload))

    def pack(crc: int) -> None:
        HEADER.pack_into(
            batch,
            0,
            0,
            length,
            -1,
            2,
            crc,
            attributes,
            count - 1,
            timestamp,
            greatest,
            producer_id,
            epoch,
            sequence,
            count,
        )

    batch[HEADER.size :] = payload
    pack(0)
    pack(crc_of(batch))
    return memoryview(batch)


def header_of(batch: memoryview) -> BatchHeader:
    """Its header."""
    return BatchHeader.parse(batch)
