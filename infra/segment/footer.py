"""The footer of a batch segment: what it holds of each partition and where, so that it explains itself.

Entries of the Parquet footer's key-value metadata (for people, DuckDB shows them by `parquet_kv_metadata`):

    cauce.segment    JSON: format version, cluster id, session, number of batches
    cauce.extents    JSON, zstd, base64: extents with the producer state each leaves behind; in format 2 also which
                     transactions are open after it, and which its markers abort
    cauce.index      SegmentIndex, zstd, base64: where each record batch lies in the object
    cauce.crc32c     CRC-32C of these three, in that order: Parquet has none for its footer
    cauce.holders    in some: `infra.segment.holders`, with a CRC-32C of its own; not needed to read the segment

Reading needs the end of the object only, nothing of pyarrow but its footer parser.
"""

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import BadStart, Corrupt
from infra.partition import PartitionId, SessionId
from infra.records.compression import ZSTD, compress, decompress
from infra.segment.extent import NO_TRANSACTION, AbortedTransaction, Extent, FlushedExtent, ProducerEntry
from infra.segment.segment_index import SegmentIndex
from infra.store.port import Buffer, ObjectStore

FORMAT = 2  # the newest that is read
_WITHOUT_TRANSACTIONS = 1  # what knows none is written as before: earlier releases read it
_SEGMENT, _EXTENTS, _INDEX, _CRC = "cauce.segment", "cauce.extents", "cauce.index", "cauce.crc32c"
_HOLDERS = "cauce.holders"
_MAGIC = b"PAR1"
_LENGTH = struct.Struct("<I")
_TRAILER_BYTES = _LENGTH.size + len(_MAGIC)
_FIRST_READ = 64 << 10  # bytes; holds the footers of all but very large segments
_MAX_EXTENTS_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class SegmentFooter:
    """All a batch segment says of itself."""

    version: int
    cluster_id: str
    session: SessionId  # who wrote it
    flushed: tuple[FlushedExtent, ...]  # in the order of rows
    index: SegmentIndex
    holders: str | None = None  # as `Holders` encodes them


def format_of(flushed: Sequence[FlushedExtent]) -> int:
    """The format that a segment of these extents needs."""
    plain = all(not one.extent.aborted and all(map(_is_plain, one.producers)) for one in flushed)
    return _WITHOUT_TRANSACTIONS if plain else FORMAT


async def read_footer(store: ObjectStore, key: str) -> SegmentFooter:
    """The footer of a batch segment in the store, with two ranged GETs at the most.

    Raises `NotFound`, `Corrupt` (naming the key), `BadStart` for a segment of a newer release, `Unavailable`.
    """
    tail = await store.get_range(key, -_FIRST_READ, _FIRST_READ)
    needed = footer_bytes(key, tail)
    if needed > len(tail):
        tail = await store.get_range(key, -needed, needed)
    return parse_footer(key, tail)


async def read_extents(store: ObjectStore, key: str) -> tuple[FlushedExtent, ...]:
    """Only what a batch segment holds of each partition, for rebuilds and takeovers. Raises as `read_footer`."""
    return (await read_footer(store, key)).flushed


def footer_bytes(key: str, tail: Buffer) -> int:
    """How many bytes at the end of the object the footer takes. Raises `Corrupt`."""
    if len(tail) < _TRAILER_BYTES or bytes(tail[-len(_MAGIC) :]) != _MAGIC:
        raise Corrupt(f"{key} does not end as a Parquet file")
    [length] = _LENGTH.unpack_from(tail, len(tail) - _TRAILER_BYTES)
    return int(length) + _TRAILER_BYTES


def parse_footer(key: str, tail: Buffer) -> SegmentFooter:
    """The footer in the last bytes of an object (more than the footer does no harm). Raises as `read_footer`."""
    needed = footer_bytes(key, tail)
    if needed > len(tail):
        raise Corrupt(f"{key} is shorter than its footer")
    try:
        # The parser wants a file that begins as one; it looks at nothing between.
        file = pa.BufferReader(b"".join((_MAGIC, memoryview(tail)[-needed:])))
        return _parse(key, pq.read_metadata(file).metadata or {})
    except Corrupt as error:
        raise Corrupt(f"{key}: {error.message}") from error
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, struct.error, OSError) as error:
        raise Corrupt(f"{key} has a footer that cannot be read: {error!r}") from error


def footer_metadata(footer: SegmentFooter) -> dict[str, str]:
    """The key-value metadata to put into the Parquet footer."""
    about = {
        "format": footer.version,
        "cluster": footer.cluster_id,
        "session": [footer.session.node_id, footer.session.node_epoch],
        "batches": len(footer.index),
    }
    segment = json.dumps(about)
    extents = base64.b64encode(compress(ZSTD, json.dumps(_plain_extents(footer.flushed)).encode())).decode()
    index = base64.b64encode(footer.index.encode()).decode()
    crc = _crc(segment.encode(), extents.encode(), index.encode())
    metadata = {_SEGMENT: segment, _EXTENTS: extents, _INDEX: index, _CRC: crc}
    return metadata if footer.holders is None else metadata | {_HOLDERS: footer.holders}


def _parse(key: str, metadata: Mapping[bytes, bytes]) -> SegmentFooter:
    segment = metadata[_SEGMENT.encode()]
    about = json.loads(segment)
    version = int(about["format"])
    if version > FORMAT:
        raise BadStart(f"{key} has segment format {version}, this release knows {FORMAT}: start a newer release")
    extents, index = metadata[_EXTENTS.encode()], metadata[_INDEX.encode()]
    if _crc(segment, extents, index) != metadata[_CRC.encode()].decode():
        raise Corrupt("the footer's CRC-32C is another one")
    node_id, node_epoch = about["session"]
    holders = metadata.get(_HOLDERS.encode())
    footer = SegmentFooter(
        version,
        str(about["cluster"]),
        SessionId(int(node_id), int(node_epoch)),
        _extents_of(key, json.loads(_unpack(extents))),
        SegmentIndex.decode(base64.b64decode(index, validate=True), int(about["batches"])),
        None if holders is None else holders.decode("latin-1"),  # whoever needs them checks them
    )
    _check_rows(footer)
    return footer


def _check_rows(footer: SegmentFooter) -> None:
    row = 0
    for one in footer.flushed:
        if one.extent.first_row != row:
            raise Corrupt(f"the extent of {one.extent.partition} begins at row {one.extent.first_row}, not {row}")
        footer.index.check(one.extent)
        row += one.extent.batches
    if row != len(footer.index):
        raise Corrupt(f"the extents have {row} rows, the index has {len(footer.index)}")


def _plain_extents(flushed: Sequence[FlushedExtent]) -> dict[str, Any]:
    topics = {
        topic_id: at for at, topic_id in enumerate(dict.fromkeys(one.extent.partition.topic_id for one in flushed))
    }
    return {
        "topics": [str(topic_id) for topic_id in topics],
        "extents": [
            [
                topics[one.extent.partition.topic_id],
                one.extent.partition.partition,
                one.extent.base_offset,
                one.extent.last_offset,
                one.extent.leader_epoch,
                one.extent.batches,
                one.extent.records,
                one.extent.size,
                one.extent.max_timestamp,
                one.extent.first_row,
                [_plain_producer(producer) for producer in one.producers],
            ]
            for one in flushed
        ],
        **_plain_aborted(flushed),
    }


def _plain_producer(entry: ProducerEntry) -> list[Any]:
    fields = [entry.producer_id, entry.producer_epoch, entry.last_timestamp, entry.batches]
    return fields if _is_plain(entry) else [*fields, entry.coordinator_epoch, entry.transaction_first_offset]


def _is_plain(entry: ProducerEntry) -> bool:
    return entry.coordinator_epoch < 0 and not entry.in_transaction


def _plain_aborted(flushed: Sequence[FlushedExtent]) -> dict[str, Any]:
    """By the place of the extent in which the markers stand."""
    aborted = {
        str(at): [[gone.producer_id, gone.first_offset, gone.last_offset] for gone in one.extent.aborted]
        for at, one in enumerate(flushed)
        if one.extent.aborted
    }
    return {"aborted": aborted} if aborted else {}


def _extents_of(key: str, plain: dict[str, Any]) -> tuple[FlushedExtent, ...]:
    topics = [UUID(topic_id) for topic_id in plain["topics"]]
    aborted = {
        int(at): tuple(AbortedTransaction(*numbers) for numbers in gone)
        for at, gone in plain.get("aborted", {}).items()
    }
    return tuple(
        FlushedExtent(
            replace(Extent(PartitionId(topics[topic], partition), key, *numbers), aborted=aborted.get(at, ())),
            tuple(_producer_of(*fields) for fields in producers),
        )
        for at, (topic, partition, *numbers, producers) in enumerate(plain["extents"])
    )


def _producer_of(
    producer_id: int,
    epoch: int,
    last_timestamp: int,
    batches: Sequence[Sequence[int]],
    coordinator_epoch: int = -1,
    transaction_first_offset: int = NO_TRANSACTION,
) -> ProducerEntry:
    stated = tuple((a, b, c, d) for a, b, c, d in batches)
    return ProducerEntry(producer_id, epoch, stated, last_timestamp, coordinator_epoch, transaction_first_offset)


def _crc(*entries: bytes) -> str:
    crc = 0
    for entry in entries:
        crc = crc32c.crc32c(entry, crc)
    return f"{crc:08x}"


def _unpack(text: bytes) -> bytes:
    return bytes(decompress(ZSTD, base64.b64decode(text, validate=True), _MAX_EXTENTS_BYTES))
