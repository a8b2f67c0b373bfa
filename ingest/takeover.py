"""Taking leases: many partitions together, by what the bucket says and by nothing else.

The order is the safety: epoch records and releases are listed; sessions that did not give their lease back are fenced;
only then the end of each log is read; what this node's own WAL holds above it is put into the bucket; the next epoch
record is created, and exactly one claimant wins it. The view shortens the reading, it is never believed about the end.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from infra.all_of import all_of
from infra.clock import Clock
from infra.cluster.lease_objects import create_fence, read_epoch, read_leases
from infra.cluster.records import EpochRecord
from infra.errors import Exists, Unavailable
from infra.object_key import EpochKey
from infra.partition import Lease, PartitionId, SessionId
from infra.ports import EpochStart, SessionGuard, TakenLease
from infra.store.port import Buffer, ObjectStore
from infra.view.port import PublishedPartition, Source, View
from ingest.backoff import until_available
from ingest.claims import Claim, Outcome, Predecessor
from ingest.log_end import AdoptedLog, LogEnds
from ingest.requests import Requests
from ingest.wal_return import WalReturn, plan_return, with_returned

_log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 64  # of one node's takeovers: what its connections to the bucket carry without queueing

LeftInWal = Callable[[PartitionId], Sequence[Buffer]]
"""A partition's batches that this node has on its disk and the bucket may lack: stamped, in order."""


class Takeover:
    """Takes leases for one node. Keeps nothing between two calls."""

    def __init__(
        self,
        store: ObjectStore,
        view: View,
        clock: Clock,
        *,
        wal_id: str | None,
        wal_return: WalReturn | None,
        requests_at_once: int = REQUESTS_AT_ONCE,
    ) -> None:
        """`wal_id` of this node's disk; None, and no `wal_return`, when it keeps no WAL."""
        self._store = store
        self._view = view
        self._clock = clock
        self._wal_id = wal_id
        self._wal_return = wal_return
        self._requests = Requests(requests_at_once)
        self._ends = LogEnds(store, view, self._requests)

    async def take(
        self, claims: Sequence[Claim], guard: SessionGuard, left: LeftInWal, source: Source | None
    ) -> Outcome:
        """Take what can be taken; a partition may stand once in `claims`, which were decided by the word of `source`.

        The leases in `taken` are held by `guard`'s session: open their logs, then tell the view who leads.
        Raises `Unavailable` and `Fenced`. What had been taken by then has an epoch record of this session and no log;
        the next call takes it again.
        """
        own = guard.session
        first, befores = await self._look(claims)
        void = frozenset(one.partition for one in befores if not one.stands_in(self._wal_id))
        befores, waiting = self._judge(befores)
        befores = await self._not_led(befores, own, source)
        await self._fence(befores, own)
        logs = await self._ends.read(befores)
        logs = await self._return_wal(befores, logs, own, left)
        begun = await self._ends.read_without_epochs([claim.partition for claim in first])
        creations = [
            self._create(claim, None, begun[claim.partition], guard) for claim in first if claim.partition in begun
        ]
        creations += [
            self._create(one.claim, one, logs[one.partition], guard) for one in befores if one.partition in logs
        ]
        taken = [lease for lease in await all_of(creations) if lease is not None]
        settled = {lease.lease.partition for lease in taken} | waiting.keys()
        return Outcome(tuple(taken), waiting, frozenset(claim.partition for claim in claims) - settled, void)

    # 1. what was before

    async def _look(self, claims: Sequence[Claim]) -> tuple[list[Claim], list[Predecessor]]:
        """Claims of partitions that nobody has ever led, and the others with the lease before."""
        topics = sorted({claim.partition.topic_id for claim in claims})
        listed = await all_of([self._requests.one(read_leases, self._store, topic_id) for topic_id in topics])
        leases = dict(zip(topics, listed, strict=True))
        first: list[Claim] = []
        led: list[tuple[Claim, int]] = []
        for claim in claims:
            epoch = leases[claim.partition.topic_id].epochs.get(claim.partition)
            if epoch is not None:
                led.append((claim, epoch))
            elif not claim.only_own_wal:
                first.append(claim)

        async def before(claim: Claim, epoch: int) -> Predecessor | None:
            reading = self._requests.one(read_epoch, self._store, claim.partition, epoch)
            record = await self._requests.whole(claim.partition, reading)
            if record is None:
                return None
            released = (claim.partition, epoch) in leases[claim.partition.topic_id].released
            return Predecessor(claim, epoch, record, released)

        befores = await all_of([before(claim, epoch) for claim, epoch in led])
        return first, [one for one in befores if one is not None]

    def _judge(self, befores: Sequence[Predecessor]) -> tuple[list[Predecessor], dict[PartitionId, str]]:
        """Those that may be taken, and those that wait for a WAL."""
        ready: list[Predecessor] = []
        waiting: dict[PartitionId, str] = {}
        for one in befores:
            wal_id = one.waits_for(self._wal_id)
            if one.claim.only_own_wal and not one.stands_in(self._wal_id):
                continue
            if wal_id is not None:
                waiting[one.partition] = wal_id
            else:
                ready.append(one)
        return ready, waiting

    async def _not_led(
        self, befores: Sequence[Predecessor], own: SessionId, source: Source | None
    ) -> list[Predecessor]:
        """Without those whose leader is alive: a loser leaves the winner alone.

        A view that has been replaced since the claims were decided may say of living leaders that they lapsed.
        """
        if all(one.released or one.session.node_id == own.node_id for one in befores):
            return list(befores)
        members = await self._view.members()
        if members.source != source:
            raise Unavailable("the view is another one than when the claims were decided")
        live = {node.session for node in members.sessions if node.session.node_id != own.node_id}
        return [one for one in befores if one.released or one.session not in live]

    # 2. the fence

    async def _fence(self, befores: Sequence[Predecessor], own: SessionId) -> None:
        sessions = sorted({one.session for one in befores if not one.released and one.session != own})
        await all_of([self._requests.one(create_fence, self._store, session, own) for session in sessions])
        for one in befores:
            if not one.released and one.record.durability == "wal" and not one.stands_in(self._wal_id):
                _log.warning("%s: unclean election, what its leader's WAL alone held is lost", one.partition)

    # 4. what stands in this node's WAL alone

    async def _return_wal(
        self,
        befores: Sequence[Predecessor],
        logs: Mapping[PartitionId, AdoptedLog],
        own: SessionId,
        left: LeftInWal,
    ) -> dict[PartitionId, AdoptedLog]:
        after = dict(logs)
        if self._wal_return is None:
            return after
        now_ms = self._clock.now_ms()
        parts = [
            part
            for one in befores
            if one.partition in logs and one.stands_in(self._wal_id)
            for part in plan_return(
                one.partition, one.leader_epoch, logs[one.partition].log, left(one.partition), now_ms
            )
        ]
        for partition, flushed in (await self._wal_return.put(own, parts)).items():
            log = with_returned(after[partition].log, flushed)
            after[partition] = replace(after[partition], log=log)
            _log.info("%s: returned from the WAL up to offset %d", partition, log.end_offset)
        return after

    # 5. the epoch record

    async def _create(
        self, claim: Claim, before: Predecessor | None, adopted: AdoptedLog, guard: SessionGuard
    ) -> TakenLease | None:
        """Win the next leader epoch, or None. The view is told what was adopted."""
        end = adopted.log.end_offset
        epoch = 0 if before is None else before.leader_epoch + 1
        earlier = () if before is None else before.record.chain_before(before.leader_epoch, end)
        record = EpochRecord(guard.session, end, claim.durability, claim.unclean, self._wal_id, earlier)
        if not await self._requests.one(self._win, EpochKey(claim.partition, epoch).key, record.encode(), guard):
            return None
        if before is not None or end:
            await self._requests.one(self._tell, claim.partition, adopted)
        return TakenLease(
            lease=Lease(claim.partition, guard.session, epoch),
            topic=claim.topic,
            durability=claim.durability,
            epochs=(*earlier, EpochStart(epoch, end)),
            manifest=adopted.manifest,
            end_offset=end,
            extents=adopted.log.extents,
            producers=adopted.log.producers,
        )

    async def _win(self, key: str, body: bytes, guard: SessionGuard) -> bool:
        """Create the record, tried until it is made or refused. A refused one that reads like ours is ours.

        Not after the session's TTL: a record made then would fence nobody, but no leader should begin so late.
        """

        async def create() -> bool:
            guard.check_ttl()
            try:
                await self._store.create(key, body)
            except Exists:
                return await self._store.get(key) == body
            return True

        return await until_available(self._clock, f"the epoch record {key}", create)

    async def _tell(self, partition: PartitionId, adopted: AdoptedLog) -> None:
        log = adopted.log
        published = PublishedPartition(log.end_offset, log.extents, log.producers)
        if published == adopted.published:
            return
        try:
            await self._view.put_partition(partition, published)
        except Unavailable as error:  # the first publish will find out and repair it
            _log.warning("%s: the view was not told what was adopted: %s", partition, error)
