"""`python -m bench.columns`: record batches to Arrow columns and back; prints a Markdown table.

JSON records of 100 B and 1 KiB in batches of 16 KB, 100 KB and 1 MB. A second is one of CPU, in the best round, and MB
are of uncompressed keys and values; "times" compares with the plain reader and writer of one record at a time.
"""

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

import pyarrow as pa

from bench.case import MB
from infra.records.compression import LZ4, NAMES, NONE, ZSTD
from infra.records.decode import decode_batch
from infra.records.decode_columns import decode_columns
from infra.records.encode import encode_batch
from infra.records.encode_columns import encode_columns
from infra.records.record import Record
from infra.store.port import Buffer

_HEAD = (
    "| record | batch | codec | decode k records/s | MB/s | times | encode k records/s | MB/s | times |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
_START_MS = 1_700_000_000_000
_OVERHEAD = 12  # about the bytes of a record's numbers


@dataclass(frozen=True, slots=True)
class Load:
    """Records of one size, as the plain writer takes them."""

    records: list[Record]
    size: int  # bytes of keys and values

    @classmethod
    def of(cls, record_bytes: int, total_bytes: int) -> "Load":
        """Transactions as JSON, whose padding compresses about as the rest does."""
        random_of = random.Random(record_bytes)
        records = []
        for offset in range(total_bytes // record_bytes):
            value = _transaction(random_of, offset, record_bytes - 8)
            records.append(Record(offset, _START_MS + offset // 3, b"%08d" % random_of.randrange(10**8), value))
        return cls(records, sum(len(record.key or b"") + len(record.value or b"") for record in records))


def _transaction(random_of: random.Random, number: int, size: int) -> bytes:
    fields: dict[str, object] = {"id": number, "account": random_of.randrange(10**6), "amount": random_of.random()}
    value = json.dumps(fields).encode()
    while len(value) < size:
        fields[f"field{len(fields)}"] = random_of.choice(("open", "paid", "late", random_of.randrange(10**9)))
        value = json.dumps(fields).encode()
    return value[:size]


def _batches(load: Load, batch_bytes: int, codec: int) -> list[Buffer]:
    each = max(1, batch_bytes // (load.size // len(load.records) + _OVERHEAD))
    return [
        bytes(encode_batch(load.records[begin : begin + each], codec=codec))
        for begin in range(0, len(load.records), each)
    ]


def _seconds(run: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        begin = process_time()
        run()
        best = min(best, process_time() - begin)
    return best


def _figures(load: Load, seconds: float, plain: float) -> str:
    rate = len(load.records) / seconds / 1000
    return f"{rate:.0f} | {load.size / MB / seconds:.0f} | {plain / seconds:.1f}"


def _row(load: Load, record_bytes: int, batch_bytes: int, codec: int, rounds: int) -> str:
    batches = _batches(load, batch_bytes, codec)
    table: pa.Table = decode_columns(batches)
    last = len(load.records) - 1

    def encode() -> object:
        return encode_columns(
            table, base_offset=0, last_offset=last, leader_epoch=1, codec=codec, target_bytes=batch_bytes
        )

    decoded = _seconds(lambda: decode_columns(batches), rounds)
    encoded = _seconds(encode, rounds)
    plain_decoded = _seconds(lambda: [decode_batch(batch) for batch in batches], 1)
    plain_encoded = _seconds(lambda: _batches(load, batch_bytes, codec), 1)
    return (
        f"| {record_bytes} B | {batch_bytes // 1000} KB | {NAMES[codec]} "
        f"| {_figures(load, decoded, plain_decoded)} | {_figures(load, encoded, plain_encoded)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Record batches to Arrow columns and back.")
    parser.add_argument("--mib", type=int, default=16, help="MiB of records in one call")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(_HEAD, flush=True)
    for record_bytes in (100, 1024):
        load = Load.of(record_bytes, arguments.mib << 20)
        for batch_bytes in (16_000, 100_000, 1_000_000):
            for codec in (NONE, LZ4, ZSTD):
                print(_row(load, record_bytes, batch_bytes, codec, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
