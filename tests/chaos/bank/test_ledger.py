"""Planted faults are found, and named for what they are; their nearest legal neighbours pass."""

import itertools
from collections.abc import Callable, Sequence

import pytest

from tests.chaos.bank.entries import Entry, Transfer, draw_up, parse_entry
from tests.chaos.bank.ledger import Books, audit, judge
from tests.chaos.bank.topics import BOOKS, book_of
from tests.checker.history import Partition

ACROSS = [(0, -30), (1, 30)]  # two books
WITHIN = [(0, -7), (len(BOOKS), 7)]  # two accounts of one book


class Bank:
    """Transfers, and books into which they are written as a test likes."""

    def __init__(self) -> None:
        self.books = Books()
        self.transfers: list[Transfer] = []
        self.orders: dict[int, bool] = {}
        self._values = itertools.count(1)
        self._offsets: dict[Partition, int] = {}

    def transfer(self, amounts: Sequence[tuple[int, int]], *, committed: bool | None, order: int = 0) -> Transfer:
        """One that is begun; nothing of it is in the books."""
        made = draw_up(amounts, lambda: next(self._values), order)
        made.committed = committed
        self.transfers.append(made)
        return made

    def write(self, entries: Sequence[Entry]) -> None:
        """Readers get them, each at the end of its book."""
        for entry in entries:
            book = book_of(entry.account)
            self._offsets[book] = offset = self._offsets.get(book, -1) + 1
            assert not list(self.books.take(book, offset, entry))

    def whole(self, amounts: Sequence[tuple[int, int]], order: int = 0) -> Transfer:
        """One that is committed and in the books."""
        made = self.transfer(amounts, committed=True, order=order)
        self.write(made.entries)
        return made

    def found(self) -> set[str]:
        """Kinds of findings at the end."""
        return {finding.kind for finding in judge(self.books, self.transfers, self.orders)}


def torn(bank: Bank) -> None:
    bank.write(bank.transfer(ACROSS, committed=True).entries[:1])


def torn_of_unknown_outcome(bank: Bank) -> None:
    bank.write(bank.transfer(ACROSS, committed=None).entries[1:])


def torn_in_book(bank: Bank) -> None:
    bank.write(bank.transfer(WITHIN, committed=True).entries[:1])


def aborted_read(bank: Bank) -> None:
    bank.write(bank.transfer(ACROSS, committed=False).entries)


def doubled(bank: Bank) -> None:
    bank.write(bank.whole(ACROSS).entries[:1])


def whole_transfer_doubled(bank: Bank) -> None:
    bank.write(bank.whole(ACROSS).entries)  # the total does not show it


def lost(bank: Bank) -> None:
    bank.transfer(ACROSS, committed=True)


def order_forgotten(bank: Bank) -> None:
    bank.orders[900] = True


def order_carried_out_twice(bank: Bank) -> None:
    bank.orders[900] = True
    bank.whole(ACROSS, order=900)
    bank.whole(ACROSS, order=900)


def not_begun(bank: Bank) -> None:
    bank.whole(ACROSS)
    bank.transfers.pop()


PLANTED: list[tuple[Callable[[Bank], None], set[str]]] = [
    (torn, {"torn"}),
    (torn_of_unknown_outcome, {"torn"}),
    (torn_in_book, {"torn", "torn-in-book"}),
    (aborted_read, {"aborted-read"}),
    (doubled, {"doubled", "total"}),
    (whole_transfer_doubled, {"doubled"}),
    (lost, {"lost"}),
    (order_forgotten, {"not-carried-out"}),
    (order_carried_out_twice, {"carried-out-twice"}),
    (not_begun, {"unknown"}),
]


@pytest.mark.parametrize(("plant", "kinds"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_fault_is_found(plant: Callable[[Bank], None], kinds: set[str]) -> None:
    bank = Bank()
    bank.whole(ACROSS)
    bank.whole(WITHIN)
    plant(bank)
    assert bank.found() == kinds


def test_what_a_correct_log_may_show_is_no_finding() -> None:
    bank = Bank()
    bank.whole([*ACROSS, *WITHIN])
    bank.transfer(ACROSS, committed=False)
    bank.transfer(ACROSS, committed=None)
    bank.write(bank.transfer(ACROSS, committed=None).entries)
    bank.orders.update({900: True, 901: False, 902: False})
    bank.whole(ACROSS, order=900)
    bank.whole(WITHIN, order=901)
    assert bank.found() == set()


def test_a_transfer_that_is_in_transit_leaves_the_total_alone() -> None:
    bank = Bank()
    bank.whole(WITHIN)
    bank.write(bank.transfer(ACROSS, committed=True).entries[:1])
    found = audit(bank.books)
    assert (found.findings, found.in_transit, found.total) == ([], 1, 0)


def test_what_was_read_must_stay() -> None:
    bank = Bank()
    first, second = bank.whole(WITHIN).entries
    book = book_of(0)
    assert [finding.kind for finding in bank.books.take(book, 0, second)] == ["changed"]
    assert not list(bank.books.take(book, 0, first))
    assert [finding.kind for finding in bank.books.missing(book, 0, 2, {0})] == ["changed"]
    assert not list(bank.books.missing(book, 0, 1, {0}))  # it was not read so far
    assert not list(bank.books.missing(book, 0, 2, {0, 1}))


def test_an_entry_says_what_it_is_of() -> None:
    entries = Bank().whole([*ACROSS, *WITHIN]).entries
    assert [parse_entry(entry.payload) for entry in entries] == entries
    assert {(entry.transfer, entry.whole) for entry in entries} == {(1, 4)}
    assert [entry.here for entry in entries] == [3, 1, 3, 3]
    with pytest.raises(ValueError):
        parse_entry(b"12:[1,2]")
