"""An idempotent producer with several batches under way at each partition, as clients have: up to five, sent over one
connection in the order of their sequences.

As the Java client does, it has one batch under way while nothing was acknowledged yet and while anything has to be
sent again. Each partition has a producer id, and a process in the history, of its own.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from infra.error_code import ErrorCode
from tests.checker.history import Partition
from tests.simulation.clients import RETRIED, Client, History, encode, identify, produce_request, produced, write_send
from tests.simulation.cluster import Cluster, Pipe

_MOST_UNDER_WAY = 5
_MOST_IN_A_BURST = 7
_BURST_PAUSE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1  # between two batches of a burst
_FIRST_PROCESS = 1000


@dataclass(slots=True, eq=False)
class _Batch:
    values: list[int]
    sequence: int
    began: float
    patience: float
    tries: int = 0
    alone: bool = False  # nothing before it was unanswered when it was sent last
    failed: bool = False  # to be sent again
    sending: "asyncio.Task[tuple[ErrorCode, int]] | None" = None
    outcome: int | None = None  # base offset, -1 when it stays unknown


class PipelinedProducer(Client):
    """As `Producer`: idempotent, acks=all."""

    def __init__(self, cluster: Cluster, history: History, number: int, bootstrap: list[int]) -> None:
        super().__init__(cluster, history, number, bootstrap)
        self.stopping = False
        self._lanes: list[_Lane] = []

    async def run(self, partitions: list[Partition]) -> None:
        """Send until it is told to stop."""
        self._lanes = [_Lane(self, one, _FIRST_PROCESS + at) for at, one in enumerate(partitions)]
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run())

    def write_unanswered(self) -> None:
        """What it was at when it was stopped: nobody knows."""
        for lane in self._lanes:
            lane.give_up()


class _Lane:
    """What goes to one partition. `_queue` holds what is not acknowledged, in order."""

    def __init__(self, producer: PipelinedProducer, partition: Partition, process: int) -> None:
        self._producer = producer
        self._partition = partition
        self._process = process
        self._random = producer.random
        self._queue: deque[_Batch] = deque()
        self._pipe = Pipe()
        self._producer_id = -1
        self._sequence = 0
        self._acknowledged = False  # with this producer id

    async def run(self) -> None:
        """One burst after the other."""
        while self._queue or not self._producer.stopping:
            if not self._queue:
                await asyncio.sleep(self._random.expovariate(1 / _BURST_PAUSE_SECONDS))
                if self._producer.stopping:
                    return
                await self._begin_burst()
            await self._go_on()

    def give_up(self) -> None:
        """Of what was sent nobody knows; a new producer id must not stand behind it."""
        for batch in self._queue:
            batch.outcome = -1
        self._write()
        self._producer_id = -1

    async def _begin_burst(self) -> None:
        if self._producer_id < 0:
            self._producer_id, self._sequence, self._acknowledged = await identify(self._producer), 0, False
        now = self._producer.cluster.loop.time()
        patience = now + self._random.choice((15.0, 60.0, 120.0))
        for _ in range(self._random.randint(1, _MOST_IN_A_BURST)):
            values = [self._producer.history.value() for _ in range(self._random.choice((1, 1, 3)))]
            self._queue.append(_Batch(values, self._sequence, now, patience))
            self._sequence += len(values)

    async def _go_on(self) -> None:
        under_way = [batch for batch in self._queue if batch.sending is not None]
        failed = any(batch.failed for batch in self._queue)
        room = _MOST_UNDER_WAY if self._acknowledged and not failed else 1
        waiting = next((batch for batch in self._queue if batch.sending is None and batch.outcome is None), None)
        if waiting is not None and len(under_way) < room:
            await self._send(waiting)
            await asyncio.sleep(self._random.uniform(0, 2 * _PAUSE_SECONDS))
        else:
            await asyncio.wait([one.sending for one in under_way if one.sending], return_when=asyncio.FIRST_COMPLETED)
        for batch in under_way:
            if batch.sending is not None and batch.sending.done():
                self._judge(batch, *batch.sending.result())
        self._write()
        if self._queue and self._queue[0].failed:
            if self._producer.cluster.loop.time() > self._queue[0].patience:
                self.give_up()
            elif not any(batch.sending for batch in self._queue):
                self._pipe = Pipe()
                await self._producer.forget(self._partition)

    async def _send(self, batch: _Batch) -> None:
        leader = await self._producer.leader(self._partition)
        batch.alone = batch is self._queue[0]
        batch.failed = False
        batch.tries += 1
        batch.began = batch.began if batch.tries > 1 else self._producer.cluster.loop.time()
        body = encode(self._producer, batch.values, self._producer_id, batch.sequence)
        request = produce_request(self._partition, body, -1)
        batch.sending = asyncio.create_task(produced(self._producer, leader.node_id, request, self._pipe))

    def _judge(self, batch: _Batch, code: ErrorCode, base_offset: int) -> None:
        batch.sending = None
        if code is ErrorCode.NONE:
            batch.outcome = base_offset
            self._acknowledged = True
            self._producer.history.duplicates_absorbed += batch.tries > 1
        elif code is ErrorCode.DUPLICATE_SEQUENCE_NUMBER and batch.tries > 1:
            batch.outcome = -1  # it is there, nobody knows where
        elif code in RETRIED or (code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER and not batch.alone):
            batch.failed = True
        else:
            self._producer.surprise(
                f"a send to {self._partition} was answered {code.name} (sequence {batch.sequence} of producer id "
                f"{self._producer_id}, try {batch.tries}, since {batch.began:.3f})"
            )
            self.give_up()

    def _write(self) -> None:
        """Into the history, in the order of the sequences."""
        while self._queue and self._queue[0].outcome is not None:
            batch = self._queue.popleft()
            if batch.tries:
                base_offset = batch.outcome if batch.outcome != -1 else None
                write_send(
                    self._producer.history, self._process, self._partition, batch.values, base_offset, batch.began
                )
