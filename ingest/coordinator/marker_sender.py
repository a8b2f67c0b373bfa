"""Brings markers to the leaders of partitions, until every one is there: whatever moves, fails or is away meanwhile.

What waits for one node goes in one request, and several requests to a node may be under way. A marker that was written
and whose answer was lost is written again, which changes nothing in its partition.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from infra.error_code import ErrorCode
from infra.errors import CauceError, NotLeader, Unavailable
from infra.partition import PartitionId, TopicPartition
from infra.ports import TopicDirectory
from ingest.coordinator.transaction import Producer

log = logging.getLogger(__name__)

MARKERS_PER_REQUEST = 500
REQUESTS_IN_FLIGHT = 8  # to one node: with object durability an answer takes a flush
_LOOK_SECONDS = 1.0  # how often it is looked whether the node that is to answer still leads
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a transaction ends, and on whose word: what a marker says."""

    producer: Producer
    coordinator_epoch: int
    commit: bool


@dataclass(frozen=True, slots=True)
class EndingOf:
    """A transaction's end, for some of its partitions."""

    ending: Ending
    partitions: tuple[TopicPartition, ...]


Results = Mapping[TopicPartition, ErrorCode]


class MarkerCarrier(Protocol):
    """Has markers written on a node, this one or another."""

    async def carry(self, node_id: int, endings: Sequence[EndingOf]) -> Sequence[Results]:
        """An error for each partition of each, once those without one are below the high watermark.

        Raises `Unavailable` when the node does not answer; what it did is then unknown.
        """


Marked = Callable[[TopicPartition], object]
"""Is told of a partition that has its marker, or needs none."""

PartitionsOf = Callable[[str], Awaitable[int]]
"""How many partitions the topic of a name has, by the bucket's word; 0: there is none. Raises `Unavailable`."""


@dataclass(slots=True, eq=False)
class _Waiting:
    what: EndingOf
    answered: asyncio.Future[Results]


@dataclass(slots=True)
class _Node:
    waiting: list[_Waiting] = field(default_factory=list)
    in_flight: int = 0


class MarkerSender:
    """One a node, for all of its transaction coordinators."""

    def __init__(self, directory: TopicDirectory, carrier: MarkerCarrier, partitions_of: PartitionsOf) -> None:
        self._directory = directory
        self._carrier = carrier
        self._partitions_of = partitions_of
        self._nodes: dict[int, _Node] = {}
        self._requests: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop sending; whoever waits has been cancelled before."""
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    async def send(self, ending: Ending, partitions: Iterable[TopicPartition], marked: Marked) -> None:
        """Return when every partition has the marker, or is deleted; `marked` is told of each. Tries for ever."""
        left, pause = set(partitions), _FIRST_PAUSE_SECONDS
        while left:
            places = self._places(left)
            gone = await self._gone(left.difference(*places.values()))
            for partition in gone:
                marked(partition)
            tries = (self._try(node, ending, some, marked) for node, some in places.items())
            done = gone.union(*await asyncio.gather(*tries))
            left -= done
            if left:
                await asyncio.sleep(pause)
                pause = _FIRST_PAUSE_SECONDS if done else min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _places(self, partitions: Iterable[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """The partitions that have a leader, by its node."""
        places: dict[int, list[TopicPartition]] = {}
        for partition in partitions:
            topic = self._directory.topic_by_name(partition[0])
            lease = None if topic is None else self._directory.leader(PartitionId(topic.topic_id, partition[1]))
            if lease is not None:
                places.setdefault(lease.session.node_id, []).append(partition)
        return places

    async def _gone(self, partitions: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Those of deleted topics, which need no marker, and those that a topic created again lacks. What this node
        merely does not see is not gone."""
        unseen = {partition for partition in partitions if not self._sees(partition)}
        gone: set[TopicPartition] = set()
        for topic in {name for name, _ in unseen}:
            with contextlib.suppress(CauceError):
                count = await self._partitions_of(topic)
                gone.update(partition for partition in unseen if partition[0] == topic and partition[1] >= count)
        return gone

    def _sees(self, partition: TopicPartition) -> bool:
        topic = self._directory.topic_by_name(partition[0])
        return topic is not None and partition[1] < topic.partitions

    async def _try(
        self, node_id: int, ending: Ending, partitions: Sequence[TopicPartition], marked: Marked
    ) -> set[TopicPartition]:
        waiting = _Waiting(EndingOf(ending, tuple(partitions)), asyncio.get_running_loop().create_future())
        node = self._nodes.setdefault(node_id, _Node())
        node.waiting.append(waiting)
        if len(node.waiting) == 1:
            asyncio.get_running_loop().call_soon(self._pump, node_id, node)
        try:
            while not waiting.answered.done() and set(self._places(partitions)) == {node_id}:
                await asyncio.wait([waiting.answered], timeout=_LOOK_SECONDS)
            if not waiting.answered.done():
                raise NotLeader("it leads them no more, and has not answered")
            results = waiting.answered.result()
        except CauceError as error:
            log.info("markers of producer %d wait for node %d: %s", ending.producer.producer_id, node_id, error.message)
            return set()
        finally:
            waiting.answered.cancel()  # nobody asks any more: what was not sent yet stays so
        done = {partition for partition, error in results.items() if _is_settled(ending, partition, error)}
        for partition in done:
            marked(partition)
        return done

    def _pump(self, node_id: int, node: _Node) -> None:
        while node.waiting and node.in_flight < REQUESTS_IN_FLIGHT:
            taken, node.waiting = node.waiting[:MARKERS_PER_REQUEST], node.waiting[MARKERS_PER_REQUEST:]
            taken = [one for one in taken if not one.answered.done()]
            if not taken:
                continue
            node.in_flight += 1
            task = asyncio.create_task(self._write(node_id, node, taken))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _write(self, node_id: int, node: _Node, taken: Sequence[_Waiting]) -> None:
        try:
            results = await self._carrier.carry(node_id, [one.what for one in taken])
        except CauceError as error:
            _fail(taken, error)
        except Exception as error:  # a fault of ours must not leave transactions without an end
            log.exception("markers for node %d could not be written", node_id)
            _fail(taken, Unavailable(f"markers for node {node_id} could not be written: {error!r}"))
        else:
            for one, result in zip(taken, results, strict=True):
                if not one.answered.done():
                    one.answered.set_result(result)
        finally:
            node.in_flight -= 1
            self._pump(node_id, node)


def _fail(waiting: Sequence[_Waiting], error: CauceError) -> None:
    for one in waiting:
        if not one.answered.done():
            one.answered.set_exception(error)


def _is_settled(ending: Ending, partition: TopicPartition, error: ErrorCode) -> bool:
    if error is ErrorCode.NONE:
        return True
    if error is ErrorCode.INVALID_PRODUCER_EPOCH:
        # A newer instance has written there, which it may only after this transaction was ended there.
        log.warning("%s-%d has moved past %s of a transaction", *partition, ending.producer)
        return True
    log.info("the marker of %s for %s-%d is not written yet: %s", ending.producer, *partition, error.name)
    return False
