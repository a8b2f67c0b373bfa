"""The bank's checker: what readers of the books saw, against what was promised of each transfer. No Kafka in here.

At each moment a reader has a prefix of every book. A transfer of which it has all entries is settled, one of which it
has some is in transit; the settled ones leave the total of all accounts as it was, whatever order they came in. What
must hold:

- of one book, a reader at its last stable offset has all entries of a transfer or none (`torn-in-book`);
- the total of the settled transfers never changes (`total`), so no entry is there twice (`doubled`);
- what a reader had once stands where it stood (`changed`);
- in the end nothing is in transit (`torn`), every committed transfer is there (`lost`), no other (`aborted-read`);
- every acknowledged order was carried out (`not-carried-out`), none twice (`carried-out-twice`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from tests.chaos.bank.entries import Entry, Transfer
from tests.checker.finding import Finding, place
from tests.checker.history import Partition


@dataclass
class Books:
    """What one reader has of each book."""

    entries: dict[Partition, dict[int, Entry]] = field(default_factory=dict)

    def take(self, partition: Partition, offset: int, entry: Entry) -> Iterator[Finding]:
        """An entry that was read; `changed` where something else was read there before."""
        known = self.entries.setdefault(partition, {}).setdefault(offset, entry)
        if known != entry:
            yield Finding(
                "changed", f"{place(partition, offset)} was value {known.value} and is value {entry.value} now"
            )

    def missing(self, partition: Partition, start: int, end: int, read: Set[int]) -> Iterator[Finding]:
        """`changed` where offsets that were read before in a range that was read again are not in `read` now."""
        for offset in sorted(self.entries.get(partition, {}).keys() - read):
            if start <= offset < end:
                value = self.entries[partition][offset].value
                yield Finding("changed", f"{place(partition, offset)} was value {value} and is nothing now")

    def of_transfers(self) -> dict[int, list[tuple[Partition, int, Entry]]]:
        """Transfer → what stands of it, and where."""
        found: dict[int, list[tuple[Partition, int, Entry]]] = {}
        for partition, entries in self.entries.items():
            for offset, entry in entries.items():
                found.setdefault(entry.transfer, []).append((partition, offset, entry))
        return found


@dataclass(frozen=True)
class Audit:
    """What a reader found when it was at the last stable offset of every book."""

    findings: list[Finding]
    in_transit: int  # transfers of which it had some entries, and not all
    total: int  # of the settled ones


def audit(books: Books) -> Audit:
    """Look at everything that a reader has, each book up to a last stable offset."""
    findings: list[Finding] = []
    in_transit = total = 0
    for transfer, rows in books.of_transfers().items():
        findings += _doubled(transfer, rows)
        findings += _torn_in_book(transfer, rows)
        if len({entry.value for _, _, entry in rows}) < rows[0][2].whole:
            in_transit += 1
        else:
            total += sum(entry.amount for _, _, entry in rows)
    if total:
        findings.append(Finding("total", f"the settled transfers make the total {total:+}"))
    return Audit(findings, in_transit, total)


def judge(books: Books, transfers: Iterable[Transfer], orders: Mapping[int, bool]) -> Iterator[Finding]:
    """Everything at the end: `books` was read to the end with nothing open.

    `transfers`: every one that was begun. `orders`: value of every order that was sent → whether it was acknowledged.
    """
    yield from audit(books).findings
    seen = books.of_transfers()
    begun = {transfer.name: transfer for transfer in transfers}
    for name, rows in seen.items():
        if name not in begun:
            yield Finding("unknown", f"transfer {name} stands in the books, and nobody began it")
        if len({entry.value for _, _, entry in rows}) < rows[0][2].whole:
            where = ", ".join(place(partition, offset) for partition, offset, _ in rows[:8])
            yield Finding("torn", f"of transfer {name} there are {len(rows)} entries of {rows[0][2].whole}: {where}")
    for name, transfer in begun.items():
        if transfer.committed and name not in seen:
            yield Finding("lost", f"transfer {name} was committed, and no entry of {len(transfer.entries)} is there")
        if transfer.committed is False and name in seen:
            yield Finding("aborted-read", f"transfer {name} was not committed, and {len(seen[name])} entries are there")
    yield from _orders(seen, orders)


def _orders(seen: Mapping[int, list[tuple[Partition, int, Entry]]], orders: Mapping[int, bool]) -> Iterator[Finding]:
    done = Counter(rows[0][2].order for rows in seen.values() if rows[0][2].order)
    for order, times in done.items():
        if times > 1:
            yield Finding("carried-out-twice", f"order {order} was carried out {times} times")
        if order not in orders:
            yield Finding("unknown", f"order {order} was carried out, and nobody gave it")
    for order, acknowledged in orders.items():
        if acknowledged and order not in done:
            yield Finding("not-carried-out", f"order {order} was acknowledged and never carried out")


def _doubled(transfer: int, rows: list[tuple[Partition, int, Entry]]) -> Iterator[Finding]:
    places: dict[int, list[str]] = {}
    for partition, offset, entry in rows:
        places.setdefault(entry.value, []).append(place(partition, offset))
    for value, where in places.items():
        if len(where) > 1:
            yield Finding("doubled", f"entry {value} of transfer {transfer} stands {' and '.join(where)}")


def _torn_in_book(transfer: int, rows: list[tuple[Partition, int, Entry]]) -> Iterator[Finding]:
    values: dict[Partition, set[int]] = {}
    wanted: dict[Partition, int] = {}
    for partition, _, entry in rows:
        values.setdefault(partition, set()).add(entry.value)
        wanted[partition] = entry.here
    for partition, found in values.items():
        if len(found) < wanted[partition]:
            what = f"{len(found)} entries of {wanted[partition]}"
            yield Finding("torn-in-book", f"of transfer {transfer} there are {what} in {partition[0]}-{partition[1]}")
