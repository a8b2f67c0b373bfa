"""Fetch sessions (KIP-227): a consumer names its partitions once, then only changes travel. Plain, no I/O.

A session keeps, for each partition, what the consumer asked last and what it was told last; an incremental answer
leaves out partitions of which nothing is new. The cache is bounded; without a free slot a fetch is served sessionless.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.wire.messages.fetch import FetchRequest, PartitionData

INITIAL_EPOCH = 0
FINAL_EPOCH = -1
NO_SESSION = 0
_HIGHEST_EPOCH = 2**31 - 1

TopicKey = str | UUID  # a topic name up to v12, a topic id from v13 on
Key = tuple[TopicKey, int]


def following_epoch(epoch: int) -> int:
    """What a session's next request must carry after `epoch`: 1 follows the highest, for 0 begins a session."""
    return epoch % _HIGHEST_EPOCH + 1


@dataclass(slots=True)
class Wanted:
    """What a consumer asks of one partition, and what it was last told (-1: nothing yet)."""

    fetch_offset: int
    max_bytes: int
    current_leader_epoch: int
    last_fetched_epoch: int
    told_high_watermark: int = -1
    told_last_stable_offset: int = -1
    told_log_start_offset: int = -1

    def news(self, data: PartitionData, has_records: bool) -> bool:
        """Whether `data` says anything that the consumer has not been told; remembers it as told.

        Errors are always news, and what follows one is too: with it, the consumer was told no offsets.
        """
        now = (data.high_watermark, data.last_stable_offset, data.log_start_offset)
        told = (self.told_high_watermark, self.told_last_stable_offset, self.told_log_start_offset)
        failed = data.error_code != ErrorCode.NONE
        self.told_high_watermark, self.told_last_stable_offset, self.told_log_start_offset = (
            (-1, -1, -1) if failed else now
        )
        referred = data.preferred_read_replica >= 0
        return failed or has_records or now != told or referred or data.diverging_epoch.epoch >= 0


class FetchSession:
    """One consumer's session with this node: its partitions in the order they are served."""

    def __init__(self, session_id: int, by_id: bool, last_used: float) -> None:
        self.session_id = session_id
        self.by_id = by_id
        self.epoch = following_epoch(INITIAL_EPOCH)  # what the next incremental request must carry
        self.last_used = last_used  # seconds, monotonic
        self.wanted: OrderedDict[Key, Wanted] = OrderedDict()

    def update(self, request: FetchRequest) -> None:
        """Take over what the request adds, changes and forgets."""
        for key, wanted in wanted_of(request, self.by_id):
            known = self.wanted.get(key)
            if known is None:
                self.wanted[key] = wanted
            else:
                known.fetch_offset, known.max_bytes = wanted.fetch_offset, wanted.max_bytes
                known.current_leader_epoch = wanted.current_leader_epoch
                known.last_fetched_epoch = wanted.last_fetched_epoch
        for forgotten in request.forgotten_topics_data:
            topic: TopicKey = forgotten.topic_id if self.by_id else forgotten.topic
            for partition in forgotten.partitions:
                self.wanted.pop((topic, partition), None)

    def served(self, keys: Iterable[Key]) -> None:
        """Move partitions that gave records to the end, so that the others come first next time."""
        for key in keys:
            if key in self.wanted:
                self.wanted.move_to_end(key)


def wanted_of(request: FetchRequest, by_id: bool) -> Iterator[tuple[Key, Wanted]]:
    """The partitions that a request names, in its order."""
    for topic in request.topics:
        name: TopicKey = topic.topic_id if by_id else topic.topic
        for partition in topic.partitions:
            yield (
                (name, partition.partition),
                Wanted(
                    fetch_offset=partition.fetch_offset,
                    max_bytes=partition.partition_max_bytes,
                    current_leader_epoch=partition.current_leader_epoch,
                    last_fetched_epoch=partition.last_fetched_epoch,
                ),
            )


class FetchSessionCache:
    """All sessions of one node: `slots` at the most (max.incremental.fetch.session.cache.slots), and no more than
    `max_partitions` in all of them, as each costs some hundred bytes."""

    EVICT_AFTER_SECONDS = 120.0  # Kafka's min.incremental.fetch.session.eviction.ms

    def __init__(self, clock: Clock, slots: int = 1000, max_partitions: int = 250_000) -> None:
        self._clock = clock
        self._slots = slots
        self._max_partitions = max_partitions
        self._partitions = 0
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, request: FetchRequest, by_id: bool) -> FetchSession | None:
        """The session that serves this request, None to serve it without one.

        Raises `Refused` FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if request.session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._drop(request.session_id)
            return self._create(request, by_id) if request.session_epoch == INITIAL_EPOCH else None
        session = self._sessions.get(request.session_id)
        if session is None:
            raise Refused(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != request.session_epoch:
            raise Refused(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.by_id != by_id:
            raise Refused(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        return self._go_on(session, request)

    def _go_on(self, session: FetchSession, request: FetchRequest) -> FetchSession | None:
        before = len(session.wanted)
        session.update(request)
        self._partitions += len(session.wanted) - before
        if self._partitions > self._max_partitions:
            self._drop(session.session_id)
            raise Refused(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)  # the client begins anew, and gets no session
        if not session.wanted:
            self._drop(session.session_id)
            return None
        session.epoch = following_epoch(session.epoch)
        session.last_used = self._clock.monotonic()
        self._sessions.move_to_end(session.session_id)
        return session

    def _create(self, request: FetchRequest, by_id: bool) -> FetchSession | None:
        now = self._clock.monotonic()
        session = FetchSession(NO_SESSION, by_id, now)
        session.update(request)
        if not self._make_room(len(session.wanted), now):
            return None
        while session.session_id == NO_SESSION or session.session_id in self._sessions:
            session.session_id = int(self._clock.uniform(1, _HIGHEST_EPOCH))
        self._sessions[session.session_id] = session
        self._partitions += len(session.wanted)
        return session

    def _make_room(self, partitions: int, now: float) -> bool:
        """Drop sessions that were not used for long, while there is no room; whether there is some then."""
        while len(self._sessions) >= self._slots or self._partitions + partitions > self._max_partitions:
            oldest = next(iter(self._sessions.values()), None)
            if oldest is None or now - oldest.last_used <= self.EVICT_AFTER_SECONDS:
                return False
            self._drop(oldest.session_id)
        return True

    def _drop(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._partitions -= len(session.wanted)
