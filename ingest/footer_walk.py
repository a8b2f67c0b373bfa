"""Decides which footers of an ended session are read, and when enough were. Plain: no I/O.

From the newest segment backwards: one that tells which were the last holders before it settles every partition that has
nothing unknown below it, and says how far back the others must be sought. Of the view only this is used, that what it
knows is there; never that there is no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.partition import PartitionId
from infra.segment.holders import Holders, carrier_at_or_below

_NONE = -1


@dataclass(frozen=True, slots=True)
class SoughtEpoch:
    """The last leader epoch of a partition, led by the session, and what is known of it beforehand."""

    leader_epoch: int
    known_upto: int  # offset, exclusive: extents that end below it are known or no longer needed
    known_sequence: int = _NONE  # what the segments up to this one hold of it is known


class FooterWalk:
    """Of one session. Read what `next` says, tell `read`, until `next` says None."""

    def __init__(self, sought: Mapping[PartitionId, SoughtEpoch], newest: int) -> None:
        """`newest`: the greatest sequence that landed, of the session's own flushes; -1 when none did."""
        self._sought = sought
        self._upto = dict.fromkeys(sought, newest)  # the last segment that may hold something unknown
        self._stretch = range(0)
        self._stretches = 0
        self._drop_settled()

    def next(self) -> range | None:
        """The sequences whose footers are to be read now: as a rule down to the next that tells of holders. Where that
        is not enough they grow, so that a session which never tells is read in few turns."""
        if not self._upto:
            return None
        upto = max(self._upto.values())
        needed_from = 1 + min(self._sought[partition].known_sequence for partition in self._upto)
        further = (1 << max(0, self._stretches - 1)) - 1
        self._stretches += 1
        self._stretch = range(max(needed_from, carrier_at_or_below(upto, further)), upto + 1)
        return self._stretch

    def read(self, holders: Mapping[int, Holders]) -> None:
        """The stretch was read; `holders` are those found in it, by the sequence of the segment that told them."""
        below = self._stretch.start - 1
        for partition, upto in self._upto.items():
            sought = self._sought[partition]
            told = [_last_unknown(one, sequence, partition, sought) for sequence, one in holders.items()]
            self._upto[partition] = min(upto, below, *told)
        self._drop_settled()

    def _drop_settled(self) -> None:
        self._upto = {
            partition: upto for partition, upto in self._upto.items() if upto > self._sought[partition].known_sequence
        }


def _last_unknown(holders: Holders, sequence: int, partition: PartitionId, sought: SoughtEpoch) -> int:
    """Below the segment of this sequence, the last that may hold something unknown of what is sought; -1 for none."""
    last = holders.last.get(partition)
    if last is None or last.leader_epoch < sought.leader_epoch:
        return holders.since - 1
    if last.leader_epoch > sought.leader_epoch:  # its epoch record is missing: a copy of a bucket
        return sequence - 1
    return last.sequence if last.last_offset >= sought.known_upto else _NONE
