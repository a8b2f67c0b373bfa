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

TopicKey = str | UUID  # a topic name up to v12, a topic id from v13 on
Key = tuple[TopicKey, int]


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
    told_error: int = 0

    def news(self, data: PartitionData, has_records: bool) -> bool:
        """Whether `data` says anything that the consumer has not been told; remembers it as told."""
        now = (data.high_watermark, data.last_stable_offset, data.log_start_offset)
        told = (self.told_high_watermark, self.told_last_stable_offset, self.told_log_start_offset)
        self.told_high_watermark, self.told_last_stable_offset, self.told_log_start_offset = now
        changed = now != told or data.error_code != self.told_error
        self.told_error = data.error_code
        return changed or has_records or data.error_code != 0 or data.diverging_epoch.epoch >= 0


class FetchSession:
    """One consumer's session with this node: its partitions in the order they are served."""

    def __init__(self, session_id: int, by_id: bool, last_used: float) -> None:
        self.session_id = session_id
        self.by_id = by_id
        self.epoch = INITIAL_EPOCH + 1  # what the next incremental request must carry
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
    """All sessions of one node; `slots` at the most (max.incremental.fetch.session.cache.slots)."""

    EVICT_AFTER_SECONDS = 120.0  # Kafka's min.incremental.fetch.session.eviction.ms

    def __init__(self, clock: Clock, slots: int = 1000) -> None:
        self._clock = clock
        self._slots = slots
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, request: FetchRequest, by_id: bool) -> FetchSession | None:
        """The session that serves this request, None to serve it without one.

        Raises `Refused` FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if request.session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            self._sessions.pop(request.session_id, None)
            return self._create(request, by_id) if request.session_epoch == INITIAL_EPOCH else None
        session = self._sessions.get(request.session_id)
        if session is None:
            raise Refused(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != request.session_epoch:
            raise Refused(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.by_id != by_id:
            raise Refused(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        session.epoch = session.epoch % (2**31 - 1) + 1
        session.last_used = self._clock.monotonic()
        self._sessions.move_to_end(session.session_id)
        session.update(request)
        return session

    def _create(self, request: FetchRequest, by_id: bool) -> FetchSession | None:
        now = self._clock.monotonic()
        if len(self._sessions) >= self._slots:
            oldest = next(iter(self._sessions.values()))
            if now - oldest.last_used < self.EVICT_AFTER_SECONDS:
                return None
            del self._sessions[oldest.session_id]
        session_id = NO_SESSION
        while session_id == NO_SESSION or session_id in self._sessions:
            session_id = int(self._clock.uniform(1, 2**31 - 1))
        session = FetchSession(session_id, by_id, now)
        session.update(request)
        self._sessions[session_id] = session
        return session
