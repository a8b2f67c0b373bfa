"""JSON orders of about 1 KiB, made from a seed, columns at a time: the larger records of the history benchmarks.

An order is a card transaction with what a shop adds to it: addresses, positions, a device, scores, references. About a
third of its bytes are digits that nothing foretells, as in real ones; names repeat.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.transactions import CHUNK, transactions
from infra.records.columns import HEADER_TYPE, RECORDS

_POSITIONS = 4
_STREETS = ("Hauptstrasse", "High Street", "Rue de la Paix", "Via Roma", "Calle Mayor", "Station Road", "Lindenallee")
_CITIES = ("Berlin", "London", "Paris", "Milano", "Madrid", "Stockholm", "Warszawa", "Hamburg", "Leeds", "Lyon")
_SYSTEMS = ("Android 14; SM-S911B", "iOS 17.4; iPhone15,2", "Windows NT 10.0; Win64", "X11; Linux x86_64")
_GOODS = ("keyboard", "desk lamp", "running shoes", "notebook A5", "coffee 1 kg", "usb-c cable", "tent", "novel")


def orders(seed: int, partition: int, count: int) -> Iterator[pa.Table]:
    """The first `count` records of a partition in chunks of RECORDS, without headers."""
    for number, rows in enumerate(transactions(seed, partition, count)):
        random = np.random.default_rng((seed, partition, number, 1))
        yield as_records(rows.set_column(3, "value", _with_order(rows["value"].combine_chunks(), random)))


def as_records(rows: pa.Table) -> pa.Table:
    """Columns offset, timestamp, key and value as RECORDS: each with an empty list of headers."""
    headers = pa.ListArray.from_arrays(np.zeros(len(rows) + 1, np.int32), pa.array([], HEADER_TYPE))
    return rows.append_column("headers", headers).cast(RECORDS)


def _with_order(values: pa.Array, random: np.random.Generator) -> pa.Array:
    rows = _Rows(len(values), random)
    parts: list[str | pa.Array] = [pc.binary_slice(values, 0, -1).cast(pa.string())]
    for name in ("billing", "shipping"):
        parts += [f',"{name}":{{"street":"', rows.pick(_STREETS), " ", rows.number(300), '","zip":"', rows.digits(5)]
        parts += ['","city":"', rows.pick(_CITIES), '"}']
    parts += [',"device":{"agent":"Mozilla/5.0 (', rows.pick(_SYSTEMS), ')","fingerprint":"', rows.digits(20)]
    parts += ['","ip":"', rows.number(224), ".", rows.number(256), ".", rows.number(256), ".", rows.number(256)]
    parts += ['"},"positions":[']
    for number in range(_POSITIONS):
        parts += ["," if number else "", '{"sku":"', rows.digits(8), '","name":"', rows.pick(_GOODS)]
        parts += ['","quantity":', rows.number(5), ',"price":', rows.number(200), ".", rows.digits(2), "}"]
    parts += ['],"scores":{"velocity":0.', rows.digits(6), ',"distance":0.', rows.digits(6), ',"graph":0.']
    parts += [rows.digits(6), '},"references":{"authorisation":"', rows.digits(12), '","retrieval":"']
    parts += [rows.digits(12), '","trace":"', rows.digits(32), '","session":"', rows.digits(32)]
    parts += ['"},"shop":{"id":"', rows.number(900), '","channel":"web","campaign":"spring-sale-2025"}}']
    return pc.binary_join_element_wise(*parts, "").cast(pa.binary())


class _Rows:
    """Columns of random text, one entry a row."""

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self._count = count
        self._random = random

    def number(self, below: int) -> pa.Array:
        return pa.array(self._random.integers(0, below, self._count)).cast(pa.string())

    def digits(self, width: int) -> pa.Array:
        symbols = self._random.integers(ord("0"), ord("9") + 1, (self._count, width), np.uint8)
        offsets = np.arange(self._count + 1, dtype=np.int32) * np.int32(width)
        return pa.Array.from_buffers(
            pa.string(), self._count, [None, pa.py_buffer(offsets), pa.py_buffer(symbols.tobytes())]
        )

    def pick(self, names: tuple[str, ...]) -> pa.Array:
        return pa.array(names).take(pa.array(self._random.integers(0, len(names), self._count)))


assert CHUNK * 2048 < 1 << 31, "a chunk's values are one binary array"
