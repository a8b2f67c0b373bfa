"""What leader epochs say of offsets: pure look-ups shared by Fetch, ListOffsets and OffsetForLeaderEpoch."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.ports import EpochStart, LogReader

UNDEFINED = -1


def check_leader_epoch(log: LogReader, current_leader_epoch: int) -> None:
    """Compare the epoch a client believes in (-1: none) with the leader's (KIP-320)."""
    if current_leader_epoch == UNDEFINED or current_leader_epoch == log.leader_epoch:
        return
    if current_leader_epoch < log.leader_epoch:
        raise Refused(ErrorCode.FENCED_LEADER_EPOCH, f"the leader epoch is {log.leader_epoch} by now")
    raise Refused(ErrorCode.UNKNOWN_LEADER_EPOCH, f"this leader knows epochs up to {log.leader_epoch}")


def epoch_at(epochs: Sequence[EpochStart], offset: int) -> int:
    """The leader epoch that holds `offset`: the last one that starts at or below it; -1 when none does."""
    following = bisect_right(epochs, offset, key=lambda epoch: epoch.start_offset)
    return epochs[following - 1].leader_epoch if following else UNDEFINED


def end_of_epoch(log: LogReader, leader_epoch: int) -> tuple[int, int]:
    """(epoch, end offset) of the largest epoch at or below the given one; (-1, -1) when nothing is known of it.

    Of an epoch below all that have records, the end is where the first of those begins.
    """
    epochs = _epochs_with_records(log)
    if leader_epoch == UNDEFINED or not epochs or leader_epoch > epochs[-1].leader_epoch:
        return UNDEFINED, UNDEFINED
    if leader_epoch == epochs[-1].leader_epoch:
        return leader_epoch, log.log_end_offset
    higher = next(epoch for epoch in epochs if epoch.leader_epoch > leader_epoch)
    floors = [epoch.leader_epoch for epoch in epochs if epoch.leader_epoch <= leader_epoch]
    return (floors[-1] if floors else leader_epoch), higher.start_offset


def _epochs_with_records(log: LogReader) -> list[EpochStart]:
    """As Kafka remembers epochs: those that hold anything from the log start on, and always the current one."""
    start, epochs = log.log_start_offset, log.epochs
    held = [
        EpochStart(epoch.leader_epoch, max(epoch.start_offset, start))
        for epoch, following in pairwise(epochs)
        if following.start_offset > max(epoch.start_offset, start)
    ]
    return held + [EpochStart(epoch.leader_epoch, max(epoch.start_offset, start)) for epoch in epochs[-1:]]
