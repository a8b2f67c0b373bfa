"""What must be true of a run's history, beside what the checker of histories looks for: by the log as it stands at the
end, which the last consumer read from offset 0 to the end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.checker.history import Operation, Partition


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was not kept."""

    kind: str
    sentence: str


def judge(history: Iterable[Operation], end: Mapping[Partition, Sequence[tuple[int, int]]]) -> list[Finding]:
    """`end`: (offset, value) of every record that is there at the end, in the order in which it was read."""
    operations = list(history)
    findings: list[Finding] = []
    log: dict[Partition, dict[int, int]] = {}
    for partition, rows in end.items():
        log[partition] = dict(rows)
        findings += _judge_log(partition, rows)
    everywhere = {value: (partition, offset) for partition, rows in end.items() for offset, value in rows}
    for operation in operations:
        for send in operation.sends:
            if send.offset is not None and log[send.partition].get(send.offset) != send.value:
                findings.append(
                    Finding(
                        "lost-write",
                        f"value {send.value} was acknowledged at {send.offset} of {send.partition} at "
                        f"{operation.ended:.3f}; there is {log[send.partition].get(send.offset)}, and the value is at "
                        f"{everywhere.get(send.value)}",
                    )
                )
        for poll in operation.polls:
            if log[poll.partition].get(poll.offset) != poll.value:
                findings.append(
                    Finding(
                        "inconsistent-offset",
                        f"client {operation.process} read {poll.value} at {poll.offset} of {poll.partition} at "
                        f"{operation.ended:.3f}; there is {log[poll.partition].get(poll.offset)}",
                    )
                )
    return findings


def _judge_log(partition: Partition, rows: Sequence[tuple[int, int]]) -> list[Finding]:
    findings: list[Finding] = []
    offsets = [offset for offset, _ in rows]
    if offsets != list(range(len(offsets))):
        findings.append(
            Finding("gap", f"the offsets of {partition} are not 0 to {len(offsets) - 1} in order: {offsets}")
        )
    seen: dict[int, int] = {}
    for offset, value in rows:
        if value in seen:
            findings.append(Finding("duplicate", f"{value} is at {seen[value]} and at {offset} of {partition}"))
        seen[value] = offset
    return findings
