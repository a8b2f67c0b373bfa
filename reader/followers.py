"""The partitions that a reader node follows: begun when a consumer first asks, ended when nobody has for a while.

Implements `TailSource`. Each partition is followed once, whoever reads it. The memory for tails is shared out evenly.
One whose leader is silent for long is let go: its consumers go back to the leader, and try again later.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from infra.errors import NotLeader
from infra.partition import PartitionId
from reader.followed_log import FollowedLog
from reader.subscription import Means, Subscription


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a reader node waits."""

    stand_seconds: float = 5.0  # the first fetch of a partition, until it is followed
    idle_seconds: float = 60.0  # before a partition that nobody fetches is followed no more
    silent_seconds: float = 15.0  # and one whose leader says nothing
    look_seconds: float = 1.0  # between two looks at what is followed


class Followers:
    """All of one node."""

    def __init__(self, means: Means, *, tail_bytes: int, patience: Patience | None = None) -> None:
        self._means = means
        self._tail_bytes = tail_bytes
        self._patience = patience or Patience()
        self._subscriptions: dict[PartitionId, Subscription] = {}
        self._kicked = asyncio.Event()
        self._closed = False
        means.state.on_change(self._kicked.set)

    def __len__(self) -> int:
        return len(self._subscriptions)

    def log(self, partition: PartitionId) -> FollowedLog:
        """A followed partition. Raises `NotLeader` while it is not."""
        subscription = self._subscriptions.get(partition)
        log = None if subscription is None else subscription.log
        if subscription is None or log is None or not log.heard:
            raise NotLeader(f"this node does not follow {partition}")
        subscription.asked_at = self._means.clock.monotonic()
        return log

    async def stand(self, partitions: Iterable[PartitionId]) -> None:
        """Follow these partitions from now on; returns once all are, or soon. What is not by then has no `log`."""
        if self._closed:
            return
        waiting = [one for one in map(self._subscribe, partitions) if not one.standing.is_set()]
        if not waiting:
            return
        begun_at = max(one.begun_at for one in waiting)
        seconds = begun_at + self._patience.stand_seconds - self._means.clock.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await asyncio.gather(*(one.standing.wait() for one in waiting))

    async def run(self) -> None:
        """Look after what is followed, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.look_seconds):
                    await self._kicked.wait()
            self._kicked.clear()
            await self._look()

    async def close(self) -> None:
        """Follow nothing any more: who waits is told, and so is whoever asks later."""
        self._closed = True
        await self._end(list(self._subscriptions.values()))

    def _subscribe(self, partition: PartitionId) -> Subscription:
        subscription = self._subscriptions.get(partition)
        if subscription is None:
            subscription = self._subscriptions[partition] = Subscription(partition, self._means)
            self._share_out()
        subscription.asked_at = self._means.clock.monotonic()
        return subscription

    async def _look(self) -> None:
        now = self._means.clock.monotonic()
        over = [one for one in self._subscriptions.values() if self._is_over(one, now)]
        await self._end(over)
        for subscription in self._subscriptions.values():
            subscription.look()

    def _is_over(self, subscription: Subscription, now: float) -> bool:
        waited_for = (
            subscription.log is not None and subscription.log.waited_for
            if subscription.standing.is_set()
            else now - subscription.begun_at < self._patience.stand_seconds
        )
        return (
            (now - subscription.asked_at > self._patience.idle_seconds and not waited_for)
            or now - subscription.heard_at > self._patience.silent_seconds
            or self._means.state.topic_by_id(subscription.partition.topic_id) is None
        )

    async def _end(self, subscriptions: Iterable[Subscription]) -> None:
        ending = list(subscriptions)
        for subscription in ending:
            del self._subscriptions[subscription.partition]
        await asyncio.gather(*(subscription.end() for subscription in ending))
        self._share_out()

    def _share_out(self) -> None:
        """A new one makes the shares of the others smaller: those trim when their leaders answer next."""
        for subscription in self._subscriptions.values():
            subscription.tail_bytes = self._tail_bytes // len(self._subscriptions)
