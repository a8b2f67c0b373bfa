"""Is everything that was acknowledged there for readers, and only what somebody sent?"""

from collections.abc import Iterator

from tests.checker.evidence import Evidence, Fate
from tests.checker.finding import Finding, name_of, place


def check_losses(evidence: Evidence, read_to_end: bool) -> Iterator[Finding]:
    """Acknowledged values that no reader was given.

    `lost-write`: a reader went past the value's offset, or to it. `unseen`: no reader came so far, though the history
    ends by reading everything to the end; without `read_to_end` nothing can be said of those.
    """
    for value, (operation, send) in evidence.sent.items():
        if value in evidence.polled or evidence.fate(operation, send) is not Fate.CERTAIN:
            continue
        highest = evidence.highest.get(send.partition, -1)
        if send.offset is not None and send.offset <= highest:
            sentence = f"value {value}, acknowledged {place(send.partition, send.offset)} to {name_of(operation)}"
            yield Finding("lost-write", f"{sentence}, was never polled, though somebody polled up to {highest}")
        elif read_to_end:
            sentence = f"value {value}, acknowledged to {name_of(operation)}, was never polled"
            yield Finding("unseen", f"{sentence}; the highest offset polled of its partition is {highest}")


def check_origins(evidence: Evidence, read_to_end: bool) -> Iterator[Finding]:
    """`unsent-read`: a polled value that nobody sent to that partition.

    Only where the history is whole: one that was cut off may lack the operation that sent the value.
    """
    if not read_to_end:
        return
    told: set[int] = set()
    for operation in evidence:
        for partition, offset, value in operation.polls:
            sent = evidence.sent.get(value)
            if (sent is None or sent[1].partition != partition) and value not in told:
                told.add(value)
                where = "nowhere" if sent is None else f"to {sent[1].partition} by {name_of(sent[0])}"
                sentence = f"{name_of(operation)} polled value {value} {place(partition, offset)}; it was sent {where}"
                yield Finding("unsent-read", sentence)
