"""Where the bank keeps its books, and what its clerks are asked to do."""

import random
from collections.abc import Sequence

from tests.chaos.topics import ANY_TIME, ChaosTopic
from tests.checker.history import Partition

CURRENT = ChaosTopic("current", 4, {"segment.bytes": "1048576", **ANY_TIME})
SAVINGS = ChaosTopic("savings", 3, {"message.timestamp.type": "LogAppendTime"})  # shows the clock of its leader
ORDERS = ChaosTopic("orders", 4, ANY_TIME)
TOPICS = (CURRENT, SAVINGS, ORDERS)
BOOKS = (*CURRENT.places, *SAVINGS.places)
ACCOUNTS = 70


def book_of(account: int) -> Partition:
    """Where an account's entries stand."""
    return BOOKS[account % len(BOOKS)]


def draw_amounts(chance: random.Random) -> Sequence[tuple[int, int]]:
    """A transfer: (account, amount) of two accounts or more, one of them twice now and then; the sum is 0."""
    count = chance.choice((2, 2, 2, 2, 3, 4, 12))
    accounts = [chance.randrange(ACCOUNTS) for _ in range(count)]
    amounts = [chance.randint(-500, 500) for _ in range(count - 1)]
    return list(zip(accounts, [*amounts, -sum(amounts)], strict=True))
