"""The log that a bucket alone implies: one record an offset, by the start offsets of the leader epochs."""

from collections.abc import Iterable, Sequence

Found = tuple[int, int, object]  # leader epoch, offset, value: a record in some segment


def implied_log(starts: Sequence[int], found: Iterable[Found], begin: int = 0) -> tuple[object, ...]:
    """The values from offset `begin` on, up to the first offset that no record is found of.

    `starts`: where each leader epoch starts, from epoch 0 on. A record of leader epoch e at an offset at or above the
    start of a later epoch does not exist.
    """
    by_place = {(epoch, offset): value for epoch, offset, value in found}
    log: list[object] = []
    while True:
        offset = begin + len(log)
        epoch = epoch_at(starts, offset)
        if (epoch, offset) not in by_place:
            return tuple(log)
        log.append(by_place[epoch, offset])


def epoch_at(starts: Sequence[int], offset: int) -> int:
    """The leader epoch that an offset belongs to; -1 before the first."""
    return max((epoch for epoch, start in enumerate(starts) if start <= offset), default=-1)
