"""Follows one partition: one Fetch loop to its leader, however many consumers read what it brings.

It stands once a leader has answered. A change of leader is followed by the cluster's state; what a leader refuses, or
a connection that breaks, is tried again. It never gives up by itself: whoever began it ends it.
"""

import asyncio
import logging
from dataclasses import dataclass

from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import CauceError, Unavailable
from infra.partition import Lease, PartitionId
from reader.followed_log import FollowedLog, is_whole
from reader.history_source import HistorySource
from reader.leader_connection import Answered, LeaderConnections
from reader.observer import ReadObserver

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.25  # between two tries
_FULL_SECONDS = 0.5  # while the tail may not grow: what it holds is not in segments yet
_STATE_SECONDS = 5.0  # how long a leader that refuses may stay the one that the cluster's state names
_LEFT_BEHIND = frozenset((ErrorCode.OFFSET_OUT_OF_RANGE, ErrorCode.OFFSET_NOT_AVAILABLE))


@dataclass(frozen=True, slots=True)
class Means:
    """What every subscription of a node needs."""

    state: ClusterState
    histories: HistorySource
    connections: LeaderConnections
    clock: Clock
    observer: ReadObserver


class Subscription:
    """One a followed partition."""

    def __init__(self, partition: PartitionId, means: Means) -> None:
        self.partition = partition
        self.tail_bytes = 0  # what its tail may hold; whoever shares out the memory sets it
        self.standing = asyncio.Event()
        self.begun_at = self.asked_at = self.heard_at = means.clock.monotonic()
        self.log: FollowedLog | None = None
        self._means = means
        self._last_trouble = ""
        self._refreshing: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name=f"following {partition}")

    async def end(self) -> None:
        """Follow no more: who waits for the log, or until it stands, is told."""
        self.standing.set()
        if self.log is not None:
            self.log.close()
        tasks = [task for task in (self._task, self._refreshing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look(self) -> None:
        """Read the history anew when it is known to have changed."""
        log = self.log
        if log is None or not log.heard or (self._refreshing is not None and not self._refreshing.done()):
            return
        if log.manifest_suspected or self._means.state.manifest_version(self.partition) > log.manifest.version:
            self._refreshing = asyncio.create_task(self._refresh(log), name=f"history of {self.partition}")

    # Following

    async def _run(self) -> None:
        while True:
            try:
                await self._follow_leader()
            except CauceError as error:
                self._report(error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow_leader(self) -> None:
        """Follow the leader of the moment for as long as it leads and answers."""
        state = self._means.state
        lease = state.leader(self.partition)
        if lease is None or self._is_over(lease):
            await state.wait_until(lambda: state.leader(self.partition) not in (None, lease), _STATE_SECONDS)
            return
        log = await self._log_at(lease)
        leader = await self._means.connections.open(lease)
        try:
            while state.leader(self.partition) == lease:
                answer = await leader.fetch(log.next_offset, wait=log.heard)
                if not await self._take(lease, log, answer):
                    return
        finally:
            leader.close()

    def _is_over(self, lease: Lease) -> bool:
        """A view that has gone back names a leader of before: what the one after it told stands."""
        return self.log is not None and lease.leader_epoch < self.log.leader_epoch

    async def _log_at(self, lease: Lease) -> FollowedLog:
        """The log, at this lease's epoch."""
        if self.log is not None and self.log.leader_epoch == lease.leader_epoch:
            return self.log
        epochs = await self._means.histories.epochs(lease)
        if self.log is None:
            history = await self._means.histories.read(self.partition, Manifest())
            if not is_whole(epochs, history.manifest, history.published):
                # The view may have forgotten which manifest there is; a leader tells it, in time.
                history = await self._means.histories.read(self.partition, history.manifest, listed=True)
            if not is_whole(epochs, history.manifest, history.published):
                raise Unavailable(f"the view does not know all of {self.partition}")
            self.log = FollowedLog(self.partition, epochs, history.manifest, history.published)
        else:
            self.log.follow(epochs)
        return self.log

    async def _take(self, lease: Lease, log: FollowedLog, answer: Answered) -> bool:
        """What a leader answered; False to begin anew."""
        if answer.error == ErrorCode.NONE:
            return await self._take_batches(log, answer)
        if answer.error in _LEFT_BEHIND:
            await self._restart(log)
            return False
        state = self._means.state
        self._report(Unavailable(f"the leader of {self.partition} answers error {answer.error}"))
        await state.wait_until(lambda: state.leader(self.partition) != lease, _PAUSE_SECONDS)
        return False

    async def _take_batches(self, log: FollowedLog, answer: Answered) -> bool:
        self.heard_at = self._means.clock.monotonic()
        self._means.observer.followed(len(answer.records))
        if not log.take(answer.high_watermark, answer.last_stable_offset, answer.log_start_offset, answer.records):
            await self._restart(log)
            return False
        self._last_trouble = ""
        self.standing.set()
        if not log.trim(self.tail_bytes):
            await self._make_room(log)
        return True

    async def _make_room(self, log: FollowedLog) -> None:
        """The tail is full of what was not in segments when they were looked at last."""
        await self._refresh(log)
        if not log.trim(self.tail_bytes):
            await asyncio.sleep(_FULL_SECONDS)

    async def _restart(self, log: FollowedLog) -> None:
        """The leader has nothing at our place any more, or not yet: go on where the history ends."""
        history = await self._means.histories.read(self.partition, log.manifest, listed=True)
        if not is_whole(log.epochs, history.manifest, history.published):
            raise Unavailable(f"the view does not know all of {self.partition}")
        log.restart(history.manifest, history.published)

    # The history

    async def _refresh(self, log: FollowedLog) -> None:
        """Take the history as it is now; one that does not fit yet is asked for again."""
        listed, log.manifest_suspected = log.manifest_suspected, False
        try:
            history = await self._means.histories.read(self.partition, log.manifest, listed=listed)
        except CauceError as error:
            log.manifest_suspected = log.manifest_suspected or listed
            self._report(error)
            return
        if log.fits(history.manifest, history.published):
            log.take_history(history.manifest, history.published)

    def _report(self, error: CauceError) -> None:
        """Log a trouble; the same one is told once in a row."""
        if str(error) != self._last_trouble:
            self._last_trouble = str(error)
            _log.warning("%s cannot be followed now: %s", self.partition, error)
