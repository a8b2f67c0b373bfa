"""One change of a partition's manifest: which record segments come and go, and where the log starts.

Producer state stands with the record segments that it belongs to, because the batch segments that carried it go.
Facts that have their default are left out of the JSON, so that a bucket says no more than it must.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from infra.cluster.record_format import FORMAT_VERSION, decode_record, encode_record
from infra.segment.extent import ProducerEntry

_WITH_TRANSACTIONS = 2  # format of a record whose producers say something of transactions; earlier releases refuse it


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A stretch of a record segment that one range GET brings."""

    base_offset: int
    last_offset: int  # inclusive; offsets between may be missing (control, aborted, cleaned)
    position: int  # bytes from the beginning of the object
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class RecordSegment:
    """A record segment as its manifest knows it; it answers for all offsets of its range, also those it leaves out."""

    key: str
    base_offset: int
    last_offset: int  # inclusive
    records: int
    size: int  # bytes of the object
    max_timestamp: int  # ms, -1 when it holds no record
    row_groups: tuple[RowGroup, ...]
    cleaned_ms: int = -1  # wall clock of the cleaning that first kept this segment's tombstones, -1: not cleaned
    rewrites: int = 0  # times the records in it were rewritten by merging
    bytes_in: int = 0  # uncompressed bytes of keys, values and headers
    value_format: str = "bytes"  # bytes, string or json: how the value column is written


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """`manifests/<topic id>/<partition>/<version>`: one change, or the whole, before which nothing needs to be read."""

    log_start_offset: int
    added: tuple[RecordSegment, ...] = ()
    removed: tuple[str, ...] = ()  # keys
    producers: tuple[ProducerEntry, ...] | None = None  # None: as before
    producers_upto: int = 0  # exclusive offset that `producers` are as of: the end of the record segments then
    whole: bool = False
    cleaned_upto: int | None = None  # exclusive offset below which everything has been cleaned; None: as before

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record(
            {
                "log_start_offset": self.log_start_offset,
                "added": [_segment_fields(segment) for segment in self.added],
                "removed": list(self.removed),
                "producers": None if self.producers is None else [_producer_fields(one) for one in self.producers],
                "producers_upto": self.producers_upto,
                "whole": self.whole,
                **({} if self.cleaned_upto is None else {"cleaned_upto": self.cleaned_upto}),
            },
            FORMAT_VERSION if all(map(_is_plain, self.producers or ())) else _WITH_TRANSACTIONS,
        )

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON. Raises `Corrupt` and, for a newer format, `BadStart`."""
        return decode_record(body, where, cls._make, _WITH_TRANSACTIONS)

    @classmethod
    def _make(cls, fields: Mapping[str, Any]) -> Self:
        producers, cleaned_upto = fields["producers"], fields.get("cleaned_upto")
        return cls(
            int(fields["log_start_offset"]),
            tuple(_segment(one) for one in fields["added"]),
            tuple(fields["removed"]),
            None if producers is None else tuple(_producer(one) for one in producers),
            int(fields["producers_upto"]),
            bool(fields["whole"]),
            None if cleaned_upto is None else int(cleaned_upto),
        )


_LATER_FACTS = ("cleaned_ms", "rewrites", "bytes_in", "value_format")
_DEFAULTS = RecordSegment("", 0, -1, 0, 0, -1, ())


def _segment_fields(segment: RecordSegment) -> dict[str, Any]:
    return {
        "key": segment.key,
        "base_offset": segment.base_offset,
        "last_offset": segment.last_offset,
        "records": segment.records,
        "size": segment.size,
        "max_timestamp": segment.max_timestamp,
        "row_groups": [[one.base_offset, one.last_offset, one.position, one.size] for one in segment.row_groups],
        **{name: fact for name in _LATER_FACTS if (fact := getattr(segment, name)) != getattr(_DEFAULTS, name)},
    }


def _segment(fields: Mapping[str, Any]) -> RecordSegment:
    return RecordSegment(
        str(fields["key"]),
        int(fields["base_offset"]),
        int(fields["last_offset"]),
        int(fields["records"]),
        int(fields["size"]),
        int(fields["max_timestamp"]),
        tuple(RowGroup(*numbers) for numbers in fields["row_groups"]),
        int(fields.get("cleaned_ms", -1)),
        int(fields.get("rewrites", 0)),
        int(fields.get("bytes_in", 0)),
        str(fields.get("value_format", "bytes")),
    )


def _producer_fields(entry: ProducerEntry) -> list[Any]:
    fields = [entry.producer_id, entry.producer_epoch, [list(batch) for batch in entry.batches], entry.last_timestamp]
    return fields if _is_plain(entry) else [*fields, entry.coordinator_epoch, entry.transaction_first_offset]


def _is_plain(entry: ProducerEntry) -> bool:
    return entry.coordinator_epoch < 0 and not entry.in_transaction


def _producer(fields: Sequence[Any]) -> ProducerEntry:
    producer_id, producer_epoch, batches, last_timestamp, *transaction = fields
    stated = tuple((int(first), int(last), int(base), int(at)) for first, last, base, at in batches)
    return ProducerEntry(int(producer_id), int(producer_epoch), stated, int(last_timestamp), *map(int, transaction))
