"""Realistic card transactions as JSON, made from a seed: the records of the history benchmark, columns at a time.

The same (seed, partition, offset) always gives the same record, so whoever reads a topic back can make the whole of it
again and compare. One transaction is about 200 bytes; accounts and merchants are skewed as real ones are.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CHUNK = 100_000  # records made at a time: the unit of randomness
_FIRST_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_STEP_MS = 40  # mean time between two records of a partition
_ACCOUNTS, _MERCHANTS = 200_000, 5_000
_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "SEK", "PLN", "BRL")
_STATUSES = ("approved", "approved", "approved", "approved", "approved", "approved", "declined", "reversed")
_CHANNELS = ("pos", "ecommerce", "atm", "transfer")


def transactions(seed: int, partition: int, count: int) -> Iterator[pa.Table]:
    """The first `count` records of a partition in chunks: columns offset, timestamp (ms), key, value (binary)."""
    for first in range(0, count, CHUNK):
        yield _chunk(seed, partition, first).slice(0, min(CHUNK, count - first))


def _chunk(seed: int, partition: int, first: int) -> pa.Table:
    random = np.random.default_rng((seed, partition, first))
    offsets = np.arange(first, first + CHUNK, dtype=np.int64)
    times = _FIRST_MS + offsets * _STEP_MS + random.integers(0, _STEP_MS, CHUNK)
    accounts = (_ACCOUNTS * random.random(CHUNK) ** 2).astype(np.int64)
    merchants = (_MERCHANTS * random.random(CHUNK) ** 3).astype(np.int64)
    cents = np.minimum(random.lognormal(7.6, 1.4, CHUNK).astype(np.int64) + 1, 99_999_999)
    account = _join("acc-", _digits(accounts, 8))
    value = _join(
        '{"id":"',
        _digits(random.integers(0, 10**15, CHUNK), 16),
        '","account":"',
        account,
        '","merchant":"mrc-',
        _digits(merchants, 6),
        '","amount":',
        pa.array(cents // 100).cast(pa.string()),
        ".",
        _digits(cents % 100, 2),
        ',"currency":"',
        _pick(_CURRENCIES, random),
        '","time":"',
        pc.strftime(pa.array(times, pa.timestamp("ms", "UTC")), "%Y-%m-%dT%H:%M:%SZ"),
        '","channel":"',
        _pick(_CHANNELS, random),
        '","status":"',
        _pick(_STATUSES, random),
        '"}',
    )
    columns = {
        "offset": pa.array(offsets),
        "timestamp": pa.array(times, pa.timestamp("ms", "UTC")),
        "key": account.cast(pa.binary()),
        "value": value.cast(pa.binary()),
    }
    return pa.table(columns)


def _digits(numbers: np.ndarray, width: int) -> pa.Array:
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")


def _pick(names: tuple[str, ...], random: np.random.Generator) -> pa.Array:
    return pa.array(names).take(pa.array(random.integers(0, len(names), CHUNK)))


def _join(*parts: "str | pa.Array") -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
