"""One frame of the WAL: a fixed header and one whole record batch. No I/O.

A WAL file is written over and over, so old frames lie behind new ones. A header says which writing of the file it
belongs to (generation) and at which position of the whole WAL it begins; both, and a seed that only this WAL knows,
go into its CRC, so neither old frames nor bytes that a client sent can pass for a frame. The batch's own CRC covers
it from byte 21 on; the header repeats what stands before.

Positions count the bytes of all frames since the WAL was made. Inside one generation of a file they run in step with
the bytes of the file.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import crc32c

from infra.partition import PartitionId
from infra.records.batch import CRC_START, HEADER, HEADER_BYTES, BatchHeader
from infra.store.port import Buffer

MAGIC = b"CWf1"  # its last character is the version of the frame
_PREFIX = struct.Struct(">4sI")  # magic, CRC-32C of the rest of the header
_REST = struct.Struct(">QQQQ16siiqII")
FRAME_HEADER_BYTES = _PREFIX.size + _REST.size  # 80


@dataclass(frozen=True, slots=True)
class WalEntry:
    """One record batch of one partition, with its offset and leader epoch stamped."""

    partition: PartitionId
    leader_epoch: int
    base_offset: int
    batch: Buffer


class FrameHeader(NamedTuple):
    """Where a frame stands and what it carries."""

    generation: int  # of the file's writing
    position: int  # of the frame's first byte in the whole WAL
    synced: int  # everything below this position was on the disk when the frame was written
    trimmed: int  # everything below this position was no longer needed then
    topic_id: bytes
    partition: int
    leader_epoch: int
    base_offset: int
    length: int  # bytes of the batch
    batch_crc: int

    @property
    def size(self) -> int:
        """Bytes of the whole frame."""
        return FRAME_HEADER_BYTES + self.length

    def entry(self, batch: Buffer) -> WalEntry:
        """What was appended."""
        partition = PartitionId(UUID(bytes=self.topic_id), self.partition)
        return WalEntry(partition, self.leader_epoch, self.base_offset, batch)


def frame_size(entry: WalEntry) -> int:
    """Bytes the entry takes in the WAL."""
    return FRAME_HEADER_BYTES + len(entry.batch)


def check_entry(entry: WalEntry) -> None:
    """Raise `ValueError` for a batch that recovery would not recognise: not stamped, or not exactly one batch."""
    header = BatchHeader.parse(entry.batch)
    said = (header.base_offset, header.leader_epoch, header.magic, header.size)
    if said != (entry.base_offset, entry.leader_epoch, 2, len(entry.batch)):
        raise ValueError(f"the batch of {entry.partition} at offset {entry.base_offset} says {said} of itself")


def encode_header(entry: WalEntry, seed: int, generation: int, position: int, synced: int, trimmed: int) -> bytes:
    """The header to write before the entry's batch."""
    rest = _REST.pack(
        generation,
        position,
        synced,
        trimmed,
        entry.partition.topic_id.bytes,
        entry.partition.partition,
        entry.leader_epoch,
        entry.base_offset,
        len(entry.batch),
        HEADER.unpack_from(entry.batch)[4],
    )
    return _PREFIX.pack(MAGIC, crc32c.crc32c(rest, seed)) + rest


def parse_header(data: memoryview, at: int, seed: int) -> FrameHeader | None:
    """The frame header at byte `at` of a file, None when there is none."""
    if len(data) - at < FRAME_HEADER_BYTES:
        return None
    magic, crc = _PREFIX.unpack_from(data, at)
    if magic != MAGIC or crc32c.crc32c(data[at + _PREFIX.size : at + FRAME_HEADER_BYTES], seed) != crc:
        return None
    return FrameHeader._make(_REST.unpack_from(data, at + _PREFIX.size))


def has_payload(data: memoryview, at: int, header: FrameHeader) -> bool:
    """True when the whole batch that the header at byte `at` announces stands behind it."""
    begin = at + FRAME_HEADER_BYTES
    if header.length < HEADER_BYTES or len(data) - begin < header.length:
        return False
    batch = BatchHeader.parse(data, begin)
    if (batch.base_offset, batch.size, batch.leader_epoch, batch.magic, batch.crc) != (
        header.base_offset,
        header.length,
        header.leader_epoch,
        2,
        header.batch_crc,
    ):
        return False
    return bool(crc32c.crc32c(data[begin + CRC_START : begin + header.length]) == header.batch_crc)
