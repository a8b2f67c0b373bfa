"""Card transactions as JSON, the same for the same seed: what the benchmarks of history write and read."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.records.columns import RECORDS

_START_MS = 1_767_225_600_000  # 2026-01-01
_STEP_MS = 40  # between two transactions, in the mean
_ACCOUNTS = 200_000
_MERCHANTS = 5_000
_CURRENCIES = np.array(["EUR", "USD", "GBP", "CHF", "SEK", "PLN"])
_CURRENCY_SHARES = (0.55, 0.25, 0.1, 0.04, 0.03, 0.03)
_STATUSES = np.array(["approved", "declined", "pending", "reversed"])
_STATUS_SHARES = (0.91, 0.05, 0.03, 0.01)
_CATEGORIES = np.array(["grocery", "fuel", "travel", "restaurant", "online", "pharmacy", "electronics", "clothing"])
_COUNTRIES = np.array(["DE", "FR", "ES", "IT", "US", "GB", "CH", "SE", "PL", "NL"])
_HEX_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def transactions(count: int, *, seed: int = 1, first: int = 0) -> pa.Table:
    """`count` records (RECORDS) from offset `first` on; about 330 bytes each, the account is the key."""
    chance = np.random.default_rng((seed, first))
    times = _START_MS + _STEP_MS * first + np.cumsum(chance.poisson(_STEP_MS, count))
    accounts = _words("ACC-", (chance.pareto(1.2, count) * 900).astype(np.int64) % _ACCOUNTS, 8)
    merchants = chance.zipf(1.3, count) % _MERCHANTS
    fields = {
        "id": _hex(chance, count, 16),
        "account": accounts,
        "merchant": _words("MER-", merchants, 6),
        "merchant_name": _words("Merchant No. ", merchants, 0),
        "category": pa.array(_CATEGORIES[merchants % len(_CATEGORIES)]),
        "country": pa.array(_COUNTRIES[merchants % len(_COUNTRIES)]),
        "amount": _amounts(chance, count),
        "currency": pa.array(chance.choice(_CURRENCIES, count, p=_CURRENCY_SHARES)),
        "time": pc.strftime(pa.array(times, pa.timestamp("ms", "UTC")), "%Y-%m-%dT%H:%M:%SZ"),
        "status": pa.array(chance.choice(_STATUSES, count, p=_STATUS_SHARES)),
        "terminal": _words("T", chance.integers(0, 40_000, count), 5),
        "sequence": pa.array(np.arange(first, first + count)).cast(pa.string()),
    }
    columns = [
        pa.array(np.arange(first, first + count)),
        pa.array(times, pa.timestamp("ms", "UTC")),
        accounts.cast(pa.binary()),
        _json(fields).cast(pa.binary()),
        pa.ListArray.from_arrays(np.zeros(count + 1, np.int32), pa.array([], RECORDS.field("headers").type.value_type)),
    ]
    return pa.table(columns, schema=RECORDS)


def _json(fields: dict[str, pa.Array]) -> pa.Array:
    parts: list[pa.Array | str] = []
    for name, values in fields.items():
        quote = "" if name in ("amount", "sequence") else '"'
        parts += [f'{"," if parts else "{"}"{name}":{quote}', values, quote]
    return pc.binary_join_element_wise(*parts, "}", "")


def _words(prefix: str, numbers: np.ndarray, digits: int) -> pa.Array:
    padded = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0")
    return pc.binary_join_element_wise(prefix, padded, "")


def _amounts(chance: np.random.Generator, count: int) -> pa.Array:
    cents = (chance.lognormal(8.0, 1.1, count)).astype(np.int64) + 50
    fraction = pc.utf8_lpad(pa.array(cents % 100).cast(pa.string()), 2, "0")
    return pc.binary_join_element_wise(pa.array(cents // 100).cast(pa.string()), fraction, ".")


def _hex(chance: np.random.Generator, count: int, size: int) -> pa.Array:
    digits = _HEX_DIGITS[chance.integers(0, 16, count * size, np.uint8)]
    return (
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), count, [None, pa.py_buffer(digits)])
        .cast(pa.binary())
        .cast(pa.string())
    )
