"""Does everybody agree on which value stands at which offset?"""

from collections.abc import Iterator

from tests.checker.evidence import Evidence
from tests.checker.finding import Finding, name_of, place
from tests.checker.history import Operation, Partition


def check_offsets(evidence: Evidence) -> Iterator[Finding]:
    """Two values at one offset (`inconsistent-offset`); one value at two offsets (`duplicate`)."""
    told: set[tuple[Partition, int, int]] = set()
    for operation in evidence:
        for partition, offset, value in _sightings(operation):
            agreed = evidence.log[partition][offset] == value and evidence.places[value] == (partition, offset)
            if agreed or (partition, offset, value) in told:
                continue
            told.add((partition, offset, value))
            yield from _disagreements(evidence, operation, partition, offset, value)


def _sightings(operation: Operation) -> Iterator[tuple[Partition, int, int]]:
    for send in operation.sends:
        if send.offset is not None:
            yield send.partition, send.offset, send.value
    yield from operation.polls


def _disagreements(
    evidence: Evidence, operation: Operation, partition: Partition, offset: int, value: int
) -> Iterator[Finding]:
    other = evidence.log[partition][offset]
    if other != value:
        sentence = f"{place(partition, offset)} is value {other}, and value {value} for {name_of(operation)}"
        yield Finding("inconsistent-offset", sentence)
    first = evidence.places[value]
    if first != (partition, offset):
        sentence = f"value {value} is {place(*first)}, and {place(partition, offset)} for {name_of(operation)}"
        yield Finding("duplicate", sentence)
