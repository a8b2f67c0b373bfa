"""Keeps the leases of an ingest node: claims what it should lead, gives back what others should, starts anew when its
session is over.

Rounds decide (`lease_plan`) and start takeovers and releases as tasks of their own, so that a slow one keeps no other
waiting. A log is opened only for a lease that the takeover has just won; what the view says of leaders is never taken
for one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

from infra.clock import Clock
from infra.cluster.lease_objects import create_release
from infra.cluster.session import Session
from infra.cluster.session_keeper import SessionKeeper
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.cluster.view_repair import REPAIR_SECONDS, ViewRepair
from infra.errors import CauceError, Fenced, NotLeader, Unavailable
from infra.partition import Lease, PartitionId, SessionId
from infra.ports import SessionGuard, TakenLease
from infra.store.port import ObjectStore
from infra.topic_config import TopicSettings
from infra.view.port import Source, View
from ingest.backoff import until_available
from ingest.claim_patience import ClaimPatience
from ingest.claims import Claim
from ingest.lease_plan import HeldLease, LeasePlanner, Picture, Waiting
from ingest.lease_teller import LeaseTeller, LedLog
from ingest.left_in_wal import LeftBehind, LeftInWal
from ingest.takeover import Takeover

_log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0  # between two rounds when nothing happens
RETRY_SECONDS = 1.0  # before a partition that was somebody else's, or could not be taken, is claimed again
WAIT_FOR_WAL_SECONDS = 10.0  # the same for one that waits for another node's WAL: that node claims it when it is back
SEARCH_SECONDS = 30.0  # between two searches for leases that wait for this node's WAL and nobody knows of
_GATHER_SECONDS = 0.01  # after a kick: others mostly follow


class LeadersPort(LeftBehind, Protocol):
    """What is needed of `ingest.leaders.Leaders`."""

    def begin_session(self, guard: SessionGuard) -> None: ...
    def open(self, taken: TakenLease, settings: TopicSettings) -> object: ...
    def close(self, partition: PartitionId, reason: Literal["released", "deleted", "fenced"]) -> None: ...
    async def release(self, partition: PartitionId) -> None: ...
    def lose(self, session: SessionId, error: CauceError) -> None: ...
    def logs(self) -> Iterable[LedLog]: ...
    def update_settings(self, topic_id: UUID, settings: TopicSettings) -> None: ...


class LeaseKeeper:
    """One a node that ingests. `kick` makes the next round come at once: after a topic was created, say."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        view: View,
        clock: Clock,
        state: ClusterState,
        sessions: SessionKeeper,
        takeover: Takeover,
        leaders: LeadersPort,
        left: LeftInWal,
        topics: TopicLedger,
        settings: Callable[[Topic], TopicSettings],
        keeps_wal: bool,
        repair_view_seconds: float = REPAIR_SECONDS,
    ) -> None:
        """`settings` are a topic's as they are obeyed here; `keeps_wal` when epoch records name this node's WAL.

        `repair_view_seconds`: how often the first node looks whether the view knows all topics of the bucket.
        """
        self._store = store
        self._clock = clock
        self._state = state
        self._sessions = sessions
        self._takeover = takeover
        self._leaders = leaders
        self._left = left
        self._topics = topics
        self._settings_of = settings
        self._parsed: dict[UUID, tuple[Topic, Mapping[str, str], TopicSettings]] = {}
        self._keeps_wal = keeps_wal
        self._planner = LeasePlanner()
        self._terms: dict[PartitionId, HeldLease] = {}
        self._obeyed: dict[UUID, TopicSettings] = {}
        self._busy: set[PartitionId] = set()
        self._waiting = Waiting()
        self._search_at = 0.0  # monotonic
        self._teller = LeaseTeller(view, state, self._superseded)
        self._patience = ClaimPatience(store, state)
        self._repair = ViewRepair(store, view, clock, topics, repair_view_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._kicked = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        sessions.on_open(self._begin_session)
        sessions.on_lost(self._session_lost)
        state.on_change(self.kick)

    async def start(self) -> None:
        """Claim what can be claimed, and keep claiming. The session is open and the state refreshed once."""
        await self.round()
        self._run = asyncio.create_task(self._rounds(), name="lease keeper")

    def kick(self) -> None:
        """Something has changed: do not wait for the next round."""
        self._kicked.set()

    def lost(self, session: SessionId, error: CauceError) -> None:
        """What `Leaders` tells as `on_lost`: the session must not go on, whatever else says it could."""
        current = self._sessions.session
        if current.session == session and not current.lost:
            _log.warning("session %s is given up: %s", session, error)
            current.end(str(error))
            self._start(current.close(), ())
        self.kick()

    async def stop(self, within_seconds: float = 10.0) -> None:
        """Give back every lease, then leave; what cannot be given back in time is left to be fenced."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
        try:
            async with asyncio.timeout(within_seconds):
                await self.settle()
                for log in self._leaders.logs():
                    self._start(self._release(log.lease), (log.lease.partition,))
                await self.settle()
        except TimeoutError:
            _log.warning("%d leases could not be given back in time", len(tuple(self._leaders.logs())))
        for task in tuple(self._tasks):
            task.cancel()
        await self.settle()
        await self._sessions.stop()

    async def settle(self) -> None:
        """Wait until no takeover or release is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # their callbacks take them from the set

    # Rounds

    async def _rounds(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._kicked.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
            self._kicked.clear()
            try:
                await self.round()
            except CauceError as error:
                _log.warning("leases cannot be looked after now: %s", error)
            except Exception:  # noqa: BLE001  a round that fails for any other reason must not be the last one
                _log.exception("a round of the lease keeper failed")

    async def round(self) -> None:
        """Look at the cluster once, and begin what is to be done. Raises `CauceError` when that is not possible now."""
        session = self._sessions.session
        if session.lost:
            return
        self._obey_settings()
        held = [log for log in self._leaders.logs() if log.lease.partition not in self._busy]
        await self._teller.again(held, session)
        await self._repair_view(held)
        await self._forget_deleted()
        source = self._state.source
        may_claim = await self._patience.may_claim(session)
        plan = self._planner.plan(self._picture(session, may_claim, may_claim and self._searches_now()))
        if plan.stale:
            await self._teller.over(plan.stale)
        for lease in (*plan.releases, *plan.gone):
            self._start(self._release(lease), (lease.partition,))
        if plan.claims:
            self._start(self._claim(plan.claims, session, source), [claim.partition for claim in plan.claims])

    def _searches_now(self) -> bool:
        """Whether to look for our WAL among all that nobody leads.

        As a session begins, and again: what was busy then was not looked at, and an epoch record of an earlier session
        of ours may be made later than its request was given up.
        """
        now = self._clock.monotonic()
        if not self._keeps_wal or now < self._search_at:
            return False
        self._search_at = now + (RETRY_SECONDS if self._busy else SEARCH_SECONDS)
        return True

    def _picture(self, session: Session, may_claim: bool, search: bool) -> Picture:
        return Picture(
            session=session.session,
            ingest_nodes=self._state.ingest_nodes(),
            topics=self._state.topics(),
            is_deleted=self._state.is_deleted,
            settings=self._settings,
            leader=self._state.leader,
            held={log.lease.partition: self._terms[log.lease.partition] for log in self._leaders.logs()},
            busy=self._busy | self._waiting.now(self._clock.monotonic(), self._state.last_leader),
            may_claim=may_claim,
            search_own_wal=search,
            in_own_wal=self._left.partitions(),
        )

    def _settings(self, topic: Topic) -> TopicSettings:
        """As they are obeyed; parsed again only when they may have changed."""
        known = self._parsed.get(topic.topic_id)
        broker_configs = self._state.broker_configs
        if known is None or known[0] is not topic or known[1] is not broker_configs:
            known = self._parsed[topic.topic_id] = (topic, broker_configs, self._settings_of(topic))
        return known[2]

    def _obey_settings(self) -> None:
        for topic in self._state.topics():
            settings = self._settings(topic)
            if self._obeyed.get(topic.topic_id) != settings:
                self._obeyed[topic.topic_id] = settings
                self._leaders.update_settings(topic.topic_id, settings)

    async def _repair_view(self, held: Sequence[LedLog]) -> None:
        """At once when a topic that we lead is unknown, else now and then by the first node."""
        topics = {log.lease.partition.topic_id for log in held}
        missing = any(self._state.topic_by_id(one) is None and not self._state.is_deleted(one) for one in topics)
        if missing or self._state.controller_id == self._sessions.session.session.node_id:
            await self._repair.look(now=missing)

    async def _forget_deleted(self) -> None:
        """What the WAL holds of deleted topics is not needed; the bucket says which they are."""
        unknown = {one for one in self._left.partitions() if self._state.topic_by_id(one.topic_id) is None}
        for topic_id in {partition.topic_id for partition in unknown}:
            known = await self._topics.read(topic_id)
            if known is None or known[1].deleted_ms is not None:
                for partition in unknown:
                    if partition.topic_id == topic_id:
                        self._left.forget(partition)

    # Sessions

    def _begin_session(self, session: Session) -> None:
        for partition, held in self._terms.items():
            if held.durability == "wal":
                self._left.lost(partition)
        self._leaders.begin_session(session)
        self._terms.clear()
        self._waiting.clear()
        self._search_at = 0.0
        self.kick()

    def _session_lost(self, session: Session) -> None:
        self._leaders.lose(session.session, Fenced(f"session {session.session} is over"))

    def _superseded(self, lease: Lease) -> None:
        held = self._terms.pop(lease.partition, None)
        if held is not None and held.durability == "wal":
            self._left.lost(lease.partition)
        self._leaders.close(lease.partition, "fenced")
        self._start(self._look_for_fence(), ())

    async def _look_for_fence(self) -> None:
        with contextlib.suppress(Fenced, Unavailable):
            await self._sessions.session.look_for_fence()

    # Claims and releases

    async def _claim(self, claims: Sequence[Claim], session: Session, source: Source | None) -> None:
        known = {claim.partition: self._state.last_leader(claim.partition) for claim in claims}
        try:
            outcome = await self._takeover.take(claims, session, self._left.batches, source)
        except CauceError as error:
            _log.warning("%d leases cannot be taken now: %s", len(claims), error)
            self._wait(known, known, RETRY_SECONDS)
            self._search_at = min(self._search_at, self._clock.monotonic() + RETRY_SECONDS)
            return
        by_partition = {claim.partition: claim for claim in claims}
        taken = [one for one in outcome.taken if self._open(one, by_partition[one.lease.partition])]
        for partition in outcome.void & self._left.partitions():
            self._left.forget(partition)
        self._wait(outcome.left, known, RETRY_SECONDS)
        self._wait(outcome.waiting, known, WAIT_FOR_WAL_SECONDS)
        if outcome.waiting:
            wal_ids = sorted(set(outcome.waiting.values()))
            _log.warning("%d partitions wait for the nodes whose disks hold the WALs %s", len(outcome.waiting), wal_ids)
        await self._teller.led([one.lease for one in taken])
        with contextlib.suppress(Unavailable):
            await self._state.refresh()  # whoever waits for a leader need not wait for the next poll
        _log.info("took %d leases of %d claimed", len(taken), len(claims))

    def _open(self, taken: TakenLease, claim: Claim) -> bool:
        partition = claim.partition
        topic = self._state.topic_by_id(partition.topic_id)
        if topic is None:
            return False  # deleted meanwhile
        try:
            self._leaders.open(taken, self._settings(topic))
        except Fenced as error:
            _log.warning("%s: %s", partition, error)
            return False
        self._terms[partition] = HeldLease(taken.lease, claim.durability, claim.unclean)
        self._left.forget(partition)
        return True

    async def _release(self, lease: Lease) -> None:
        """Once the release object is sent, whatever the answer, the epoch is over: the log is closed before."""
        try:
            await self._leaders.release(lease.partition)
        except NotLeader:
            return
        self._terms.pop(lease.partition, None)
        session = self._sessions.session

        async def create() -> None:
            if session.lost or session.session != lease.session:
                raise Fenced(f"session {lease.session} is over")
            await create_release(self._store, lease)

        try:
            await until_available(self._clock, f"the release of {lease.partition}", create)
        except Fenced as error:
            _log.warning("%s could not be given back: %s", lease.partition, error)
            return
        await self._teller.over([lease])

    def _wait(
        self, partitions: Iterable[PartitionId], known: Mapping[PartitionId, Lease | None], seconds: float
    ) -> None:
        """`known` are their last leaders when they were claimed: one that was given back since need not wait."""
        until = self._clock.monotonic() + seconds
        for partition in partitions:
            self._waiting.add(partition, until, known[partition])

    # Tasks

    def _start(self, work: Coroutine[Any, Any, None], partitions: Sequence[PartitionId]) -> None:
        self._busy.update(partitions)
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._busy.difference_update(partitions)
            if not task.cancelled() and task.exception() is not None:
                _log.error("a takeover or release failed", exc_info=task.exception())
            self.kick()

        task.add_done_callback(done)
