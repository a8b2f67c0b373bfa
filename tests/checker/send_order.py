"""Do the records of each producer stand in the log in the order in which it sent them?"""

from collections.abc import Iterator
from typing import NamedTuple

from tests.checker.evidence import Evidence
from tests.checker.finding import Finding, name_of, place
from tests.checker.history import Operation, Partition, Send


def check_send_order(evidence: Evidence, interleaved: bool) -> Iterator[Finding]:
    """`nonmonotonic-send` from one operation of a process to a later one, `int-nonmonotonic-send` within one.

    `int-send-skip`: records of others stand between two of one operation. Kafka allows that, as do all who batch by
    size; it is a finding only where `interleaved` is False.
    """
    for operations in evidence.processes.values():
        acknowledged: dict[Partition, _Acknowledged] = {}
        for operation in operations:
            if operation.sends:
                yield from _against_earlier(evidence, operation, acknowledged)
                yield from _within(evidence, operation, interleaved)
                _remember(operation, acknowledged)


class _Acknowledged(NamedTuple):
    """The highest offset that a process was told, and the end of the operation that told it."""

    offset: int
    ended: float


def _against_earlier(
    evidence: Evidence, operation: Operation, acknowledged: dict[Partition, _Acknowledged]
) -> Iterator[Finding]:
    """What is sent after an acknowledgement stands behind it, also where only readers know where it stands."""
    for send in operation.sends:
        earlier = acknowledged.get(send.partition)
        offset = send.offset if send.offset is not None else _polled_offset(evidence, send)
        if earlier is None or offset is None or operation.began < earlier.ended or offset > earlier.offset:
            continue
        sentence = f"{name_of(operation)} sent value {send.value}, which is {place(send.partition, offset)}"
        yield Finding("nonmonotonic-send", f"{sentence}, after {earlier.offset} had been acknowledged to it")


def _within(evidence: Evidence, operation: Operation, interleaved: bool) -> Iterator[Finding]:
    last: dict[Partition, int] = {}
    for partition, value, offset in operation.sends:
        if offset is None:
            continue
        before = last.get(partition)
        last[partition] = offset
        if before is None:
            continue
        sentence = f"{name_of(operation)} sent value {value}, which is {place(partition, offset)}, right after {before}"
        if offset <= before:
            yield Finding("int-nonmonotonic-send", sentence)
        elif not interleaved and (skipped := evidence.skipped(partition, before, offset)) is not None:
            yield Finding("int-send-skip", f"{sentence}; value {evidence.log[partition][skipped]} stands between")


def _remember(operation: Operation, acknowledged: dict[Partition, _Acknowledged]) -> None:
    for partition, _, offset in operation.sends:
        if offset is not None and (partition not in acknowledged or offset > acknowledged[partition].offset):
            acknowledged[partition] = _Acknowledged(offset, operation.ended)


def _polled_offset(evidence: Evidence, send: Send) -> int | None:
    partition, offset = evidence.places.get(send.value, (None, None))
    return offset if partition == send.partition else None
