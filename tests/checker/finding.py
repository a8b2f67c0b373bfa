"""What the checks hand back, and the words in which they speak of operations."""

from typing import NamedTuple

from tests.checker.history import Operation, Partition


class Finding(NamedTuple):
    """One thing that a correct log would never have let happen: its kind, and the evidence in a sentence."""

    kind: str
    sentence: str


def name_of(operation: Operation) -> str:
    transaction = "" if operation.transaction is None else f" in transaction {operation.transaction!r}"
    return (
        f"process {operation.process}, operation {operation.index} ({operation.kind}, {operation.status}{transaction})"
    )


def place(partition: Partition, offset: int) -> str:
    return f"{partition[0]}-{partition[1]} at {offset}"
