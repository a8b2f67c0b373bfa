"""What stands in the books: entries of transfers. Each says how many there are of its transfer, so that whoever reads
them knows without being told when a transfer is whole.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.bank.topics import book_of
from tests.checker.history import Partition


class Entry(NamedTuple):
    """One record of a transfer, in the book of its account."""

    value: int  # unique in a run
    transfer: int  # the value of its first entry
    order: int  # whose value asked for the transfer; 0: nobody's
    account: int
    amount: int
    whole: int  # entries of the transfer
    here: int  # of these, in this book

    @property
    def payload(self) -> bytes:
        """As a record's value."""
        return b"%d:%s" % (self.value, json.dumps(self[1:]).encode())


def parse_entry(payload: bytes) -> Entry:
    """The entry of a record's value. Raises ValueError where it is none."""
    value, _, rest = payload.partition(b":")
    fields = json.loads(rest)
    if not isinstance(fields, list) or len(fields) != len(Entry._fields) - 1:
        raise ValueError(f"not an entry: {payload!r}")
    return Entry(int(value), *fields)


@dataclass
class Transfer:
    """One transfer as its writer knows it, written in one transaction."""

    entries: Sequence[Entry]
    committed: bool | None = None  # None: nobody was told; False: surely not
    offsets: dict[int, int] = field(default_factory=dict)  # value → offset, of what was acknowledged

    @property
    def name(self) -> int:
        """The value of its first entry."""
        return self.entries[0].transfer


def draw_up(amounts: Sequence[tuple[int, int]], new_value: Callable[[], int], order: int = 0) -> Transfer:
    """The entries of a transfer, not written yet."""
    values = [new_value() for _ in amounts]
    here: Counter[Partition] = Counter(book_of(account) for account, _ in amounts)
    return Transfer(
        [
            Entry(value, values[0], order, account, amount, len(amounts), here[book_of(account)])
            for value, (account, amount) in zip(values, amounts, strict=True)
        ]
    )
