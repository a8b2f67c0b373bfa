"""Short ways to write down a history by hand."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.checker.history import Operation, Partition, Poll, Send, Status

_TOPIC = "orders"


class Case(NamedTuple):
    """A history with a finding, and its nearest neighbour that a correct log could have given."""

    kind: str
    planted: list[Operation]
    legal: list[Operation]
    besides: frozenset[str] = frozenset()  # what else the planted history has, by its nature


def orders(partition: int) -> Partition:
    return (_TOPIC, partition)


def sent(*sends: tuple[int, int, int | None], by: int = 0, status: Status = "ok") -> Operation:
    """Sends of (partition, value, offset)."""
    return Operation(by, 0, "send", status, sends=_sends(sends))


def polled(*polls: tuple[int, int, int], by: int = 9, status: Status = "ok") -> Operation:
    """Polls of (partition, offset, value)."""
    return Operation(by, 0, "poll", status, polls=_polls(polls))


def in_transaction(
    name: str,
    *,
    by: int = 0,
    sends: Sequence[tuple[int, int, int | None]] = (),
    polls: Sequence[tuple[int, int, int]] = (),
    committed: bool | None = None,
    status: Status = "ok",
    began: float = 0.0,
    ended: float = 0.0,
) -> Operation:
    return Operation(by, 0, "send", status, _sends(sends), _polls(polls), name, committed, began, ended)


def _sends(sends: Sequence[tuple[int, int, int | None]]) -> tuple[Send, ...]:
    return tuple(Send(orders(partition), value, offset) for partition, value, offset in sends)


def _polls(polls: Sequence[tuple[int, int, int]]) -> tuple[Poll, ...]:
    return tuple(Poll(orders(partition), offset, value) for partition, offset, value in polls)
