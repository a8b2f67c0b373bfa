"""Producers, coordinators that come and go unnoticed, writes and markers that are lost: no transaction may be torn.

In virtual time, by seed. Partitions are as leaders have them: the first record of a transaction is verified, older
producers and older coordinators are refused. In the end every record of a transaction must be followed by the same
outcome, in every partition, and by the one that its producer was told where it was told one.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from random import Random

import pytest

from infra.error_code import ErrorCode
from infra.errors import Fenced, Refused, Unavailable
from infra.partition import PartitionId, TopicPartition
from ingest.coordinator.marker_sender import Ending
from ingest.coordinator.transaction import Producer
from ingest.coordinator.transaction_coordinator import TransactionCoordinator
from ingest.coordinator.transactions import TransactionLimits
from tests.coordinator.cluster import virtually
from tests.transactions.cluster import TRANSACTIONS_ID, Cluster, Partitions

IDS = [f"id-{number}" for number in range(4)]
PLACES: list[TopicPartition] = [("flights", 0), ("flights", 1), ("flights", 2), ("trains", 0)]
STATE = PartitionId(TRANSACTIONS_ID, 0)
TRANSACTIONS = 12  # of each id
COORDINATORS = 12
_AGAIN = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_OVER = frozenset(
    {
        ErrorCode.PRODUCER_FENCED,
        ErrorCode.INVALID_PRODUCER_EPOCH,
        ErrorCode.INVALID_PRODUCER_ID_MAPPING,
        ErrorCode.TRANSACTION_ABORTABLE,
        ErrorCode.INVALID_TXN_STATE,
    }
)


@dataclass(frozen=True)
class Written:
    """A record of a transaction."""

    producer: Producer
    transaction: int


@dataclass
class Leaders(Partitions):
    """The partitions with their records."""

    log: dict[TopicPartition, list[Written | Ending]] = field(default_factory=lambda: {place: [] for place in PLACES})

    def is_open(self, place: TopicPartition, producer_id: int) -> bool:
        """Whether a transaction of the producer has begun there and not ended."""
        of_it = [entry for entry in self.log[place] if entry.producer.producer_id == producer_id]
        return bool(of_it) and isinstance(of_it[-1], Written)

    def epoch(self, place: TopicPartition, producer_id: int) -> int:
        """The highest that is known there."""
        return max(
            (one.producer.epoch for one in self.log[place] if one.producer.producer_id == producer_id), default=-1
        )

    def ends(self, place: TopicPartition, producer_id: int) -> int:
        """How many markers of a producer are there."""
        found = [one for one in self.log[place] if isinstance(one, Ending) and one.producer.producer_id == producer_id]
        return len(found)

    def _one(self, place: TopicPartition, ending: Ending) -> ErrorCode:
        if place not in self.errors and ending.producer.epoch < self.epoch(place, ending.producer.producer_id):
            return ErrorCode.INVALID_PRODUCER_EPOCH
        error = super()._one(place, ending)
        if error is ErrorCode.NONE:
            self.log[place].append(ending)
        return error

    def outcome(self, place: TopicPartition, written: Written) -> bool | None:
        """What the marker says that follows a record."""
        after = self.log[place][self.log[place].index(written) :]
        ids = written.producer.producer_id
        return next((one.commit for one in after if isinstance(one, Ending) and one.producer.producer_id == ids), None)


class World:
    """Applications and their cluster."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.data = Leaders()
        self.cluster = Cluster(limits=TransactionLimits(timeout_check_interval_ms=5_000))
        self.cluster.data = self.data
        self.given: set[Producer] = set()
        self.told: dict[int, bool] = {}  # transaction → how it ended, where its producer heard of it
        self.begun = 0
        self.over = False
        self.running: list[asyncio.Task[None]] = []

    def coordinator(self) -> TransactionCoordinator:
        """Mostly the one that leads, at times one that did."""
        if self.random.random() < 0.9:
            return self.cluster.led[STATE]
        return self.random.choice(self.cluster.coordinators)

    async def again(self, request: str, *arguments: object, **more: object) -> object:
        """A request until it is answered with anything but "again"; raises what it is refused with."""
        while True:
            try:
                return await getattr(self.coordinator(), request)(*arguments, **more)
            except Refused as refused:
                if refused.code not in _AGAIN:
                    raise
            await asyncio.sleep(self.random.uniform(0.01, 0.5))

    async def application(self, transactional_id: str) -> None:
        """Transaction after transaction, and a new instance whenever one is fenced, or dies."""
        producer: Producer | None = None
        for _ in range(TRANSACTIONS):
            with contextlib.suppress(Lost):
                if producer is None or self.random.random() < 0.15:
                    producer = None
                    producer = await self.instance(transactional_id)
                transaction, producer = producer, None
                await self.transact(transactional_id, transaction)
                producer = transaction

    async def instance(self, transactional_id: str) -> Producer:
        made = await self.again("init", transactional_id, 20_000, None)
        assert isinstance(made, Producer)
        assert made not in self.given, f"{made} is given twice"
        self.given.add(made)
        return made

    async def transact(self, transactional_id: str, producer: Producer) -> None:
        number, self.begun = self.begun, self.begun + 1
        try:
            for place in sorted(self.random.sample(PLACES, self.random.randint(1, 3))):
                await self.again("add_partitions", transactional_id, producer, [place])
                await self.write(transactional_id, place, Written(producer, number))
                if self.random.random() < 0.05:
                    raise Lost  # it dies; the next instance or the time-out ends its transaction
                if self.random.random() < 0.05:
                    await asyncio.sleep(40)  # it takes longer than it may
            commit = self.random.random() < 0.7
            if self.random.random() < 0.2:
                await self.coordinator().end(transactional_id, producer, commit=commit)  # it asks once, and dies
            else:
                await self.again("end", transactional_id, producer, commit=commit)
            self.told[number] = commit
        except Refused as refused:
            if refused.code in _OVER or refused.code in _AGAIN:
                raise Lost from refused
            raise

    async def write(self, transactional_id: str, place: TopicPartition, written: Written) -> None:
        """A Produce, as a leader takes it."""
        producer = written.producer
        if not self.data.is_open(place, producer.producer_id):
            ends = self.data.ends(place, producer.producer_id)
            code = await self.verified(transactional_id, producer, place)
            if code is not ErrorCode.NONE or self.data.ends(place, producer.producer_id) != ends:
                raise Refused(code or ErrorCode.INVALID_TXN_STATE)
        if self.data.epoch(place, producer.producer_id) > producer.epoch:
            raise Refused(ErrorCode.INVALID_PRODUCER_EPOCH)
        self.data.log[place].append(written)

    async def verified(self, transactional_id: str, producer: Producer, place: TopicPartition) -> ErrorCode:
        """What a coordinator answers, some time after it was asked; asked again while it cannot say."""
        while True:
            try:
                code = self.coordinator().verify(transactional_id, producer, [place])[place]
            except Refused as refused:
                code = refused.code
            await asyncio.sleep(self.random.choice([0, 0, 0.01, 1]))
            if code not in _AGAIN:
                return code

    async def disturb(self) -> None:
        """Move the lease, told or not; lose writes and markers; let partitions be away."""
        logs, data = self.cluster.logs, self.data
        while not self.over:
            await asyncio.sleep(self.random.uniform(0.2, 2))
            fault = self.random.randrange(6)
            if fault < 2 and len(self.cluster.coordinators) < COORDINATORS:
                self.lead(self.cluster.move if fault else self.cluster.take)  # the one before may not notice
            elif fault == 2:
                logs.append_error = self.random.choice([Unavailable("lost"), Fenced("paused for too long")])
                logs.lose_answer = self.random.random() < 0.5
                await asyncio.sleep(self.random.uniform(0.01, 2))
                logs.append_error = None
            elif fault == 3:
                data.lose_answers = self.random.random() < 0.5
                data.away = not data.lose_answers
                await asyncio.sleep(self.random.uniform(0.01, 3))
                data.lose_answers = data.away = False
            elif fault == 4:
                data.gate = asyncio.Event()
                await asyncio.sleep(self.random.uniform(0.01, 3))
                data.gate.set()  # what was in the air lands now
                data.gate = None
            else:
                data.errors = {self.random.choice(PLACES): ErrorCode.NOT_LEADER_OR_FOLLOWER}
                await asyncio.sleep(self.random.uniform(0.01, 3))
                data.errors = {}

    def lead(self, take: object) -> None:
        """Another node leads."""
        coordinator = self.cluster.node()
        self.running.append(asyncio.create_task(coordinator.run()))
        assert callable(take)
        take(STATE, coordinator)

    async def until_at_rest(self) -> None:
        """Every transaction is ended, by a time-out if need be."""
        left = set(IDS)
        while left:
            await asyncio.sleep(1)
            for name in tuple(left):
                with contextlib.suppress(Refused):
                    if self.cluster.led[STATE].describe(name).record.state.at_rest:
                        left.discard(name)

    def check(self) -> None:
        """No transaction is torn, and none is other than was told."""
        outcomes: dict[int, set[bool | None]] = {}
        for place, log in self.data.log.items():
            for entry in log:
                if isinstance(entry, Written):
                    outcomes.setdefault(entry.transaction, set()).add(self.data.outcome(place, entry))
        for number, seen in outcomes.items():
            assert len(seen) == 1, f"transaction {number} is torn"
            assert None not in seen, f"transaction {number} hangs"
            assert seen == {self.told.get(number, *seen)}, f"transaction {number} is not what was told"
        assert sum(self.told.values()) >= 5, "hardly anything was committed"


class Lost(Exception):
    """An instance is fenced, or its application has died."""


@pytest.mark.parametrize("seed", range(12))
def test_no_transaction_is_torn(seed: int) -> None:
    async def body() -> None:
        world = World(Random(seed))
        world.lead(world.cluster.take)
        disturbing = asyncio.create_task(world.disturb())
        await asyncio.gather(*(world.application(name) for name in IDS))
        world.over = True
        await disturbing
        await world.until_at_rest()
        for task in world.running:
            task.cancel()
        await world.cluster.close()
        world.check()

    virtually(body)
